"""Linear support vector machines with squared hinge loss on the support features of each task, by Newton's method in the span of the
support (Chapelle, Training a Support Vector Machine in the Primal, Neural Computation 2007, the section on Newton's method).

With inner products K of the support items, the weights at the minimum of
    C * sum_i max(0, 1 - y_i f_i)^2 + 1/2 ||w||^2,   f_i = <x_i, w>,
are w = 2C sum_i a_i x_i with a_i = y_i - f_i for the items inside the margin, and 0 for the others. For a fixed set of such items, a
solves linear equations; Newton's method guesses the set, solves, and has the minimum once the solution gives the set it was made for.
"""
# ruff: noqa: N803 (scikit-learn's names)

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from s2m2.classifiers.base import FewShotTasks, InductiveClassifier
from s2m2.classifiers.span import FittedSpan, part_length, support_span
from s2m2.recipe.ranges import PositiveFloat

TOLERANCE = 1e-9
"""A classifier has converged when no a_i is further from what the margin asks for; labels are +-1."""
MAX_STEPS = 100
"""Newton steps; five are usual."""
MAX_HALVINGS = 40


@dataclass(kw_only=True, eq=False, repr=False)
class LinearSVM(InductiveClassifier):
    """One machine for each class against the rest, with squared hinge loss: scikit-learn's `LinearSVC`, at its minimum.

    The multi-class machine of Crammer and Singer, which MetaOptNet trains with (Lee et al., CVPR 2019, section 3.2), is here as
    learn2learn's classifier. This one is what users of scikit-learn mean, and its loss is smooth, so Newton's method ends at the minimum.
    As there, the intercept is the weight of a further feature that is 1 everywhere, and is penalized like the others. Its scores are
    margins and no logits.
    """

    name = "svm"
    title = "linear SVM"

    C: PositiveFloat = 1.0
    """Multiplier of the summed squared hinge losses, against half the squared weights (default: scikit-learn's)."""

    def fit_tasks(self, tasks: FewShotTasks, generator: torch.Generator) -> FittedSpan:
        """Fit to the minimum."""
        span = support_span(tasks.support, centered=False)
        coefficients = fit_squared_hinge(span.gram + 1, tasks.labels, tasks.ways, C=self.C)
        return span.fitted(coefficients, coefficients.sum(1))


def fit_squared_hinge(
    gram: Float64[Tensor, "task item item"], labels: Int64[Tensor, "task item"], ways: int, *, C: float
) -> Float64[Tensor, "task item way"]:
    """Coefficients of the weights of each class, told apart from all others together, over the support items.

    Args:
        gram: inner products of the support items; 1 added to each gives an intercept that is penalized like the weights.
        labels: way of each; on any device.
        C: multiplier of the squared hinge losses.
    """
    signs = (2 * F.one_hot(labels.to(gram.device), ways).to(gram.dtype) - 1).mT
    length = part_length(gram, ways)
    parts = zip(gram.split(length), signs.split(length), strict=True)
    return 2 * C * torch.cat([_fit(2 * C * one_gram, one_signs) for one_gram, one_signs in parts]).mT


def _fit(gram: Float64[Tensor, "task item item"], signs: Float64[Tensor, "task way item"]) -> Float64[Tensor, "task way item"]:
    """The a of every class, with `gram` multiplied by 2C already. A converged classifier stays as it is."""
    weights = torch.zeros_like(signs)
    values = torch.zeros_like(signs)
    converged = torch.zeros(signs.shape[:2], dtype=torch.bool, device=signs.device)
    for _ in range(MAX_STEPS):
        inside = (signs * values < 1).to(gram.dtype)
        aim = _solve(gram, signs, inside)
        aim_values = aim @ gram
        step = (_step(signs, (weights, values), (aim, aim_values)) * ~converged)[..., None]
        weights, values = weights.lerp(aim, step), values.lerp(aim_values, step)
        converged = converged | _is_minimum(signs, weights, values)
        if bool(converged.all()):
            break
    return weights


def _solve(
    gram: Float64[Tensor, "task item item"], signs: Float64[Tensor, "task way item"], inside: Float64[Tensor, "task way item"]
) -> Float64[Tensor, "task way item"]:
    """(1 + K_inside) a = y for the items inside the margin, 0 for the others."""
    system = inside[..., None] * inside[:, :, None] * gram[:, None]
    system.diagonal(dim1=-2, dim2=-1).add_(1)
    return torch.cholesky_solve((inside * signs)[..., None], torch.linalg.cholesky(system)).squeeze(-1)


def _step(signs: Tensor, here: tuple[Tensor, Tensor], there: tuple[Tensor, Tensor]) -> Float64[Tensor, "task way"]:
    """The largest of 1, 1/2, 1/4, ... of the way that does not raise the loss of a classifier; values are linear in the coefficients."""
    before = _loss(signs, *here)
    limit = before + 1e-12 * before
    fraction = torch.ones_like(before)
    for _ in range(MAX_HALVINGS):
        weights, values = (start.lerp(end, fraction[..., None]) for start, end in zip(here, there, strict=True))
        worse = ~(_loss(signs, weights, values) <= limit)
        if not bool(worse.any()):
            break
        fraction = torch.where(worse, fraction / 2, fraction)
    return fraction


def _loss(signs: Tensor, weights: Tensor, values: Tensor) -> Float64[Tensor, "task way"]:
    """The loss, divided by 2C."""
    return ((weights * values).sum(-1) + (1 - signs * values).clamp(min=0).square().sum(-1)) / 2


def _is_minimum(signs: Tensor, weights: Tensor, values: Tensor) -> Bool[Tensor, "task way"]:
    wanted = torch.where(signs * values < 1, signs - values, 0)
    return (wanted - weights).abs().amax(-1) <= TOLERANCE
