"""The cosine classifier of S2M2, one for every few-shot task of a batch, fitted together by stochastic gradient descent.

The logit of class c is scale * g_c * cos(x, v_c), where the direction v_c and the norm g_c are learned apart from each other and features
are divided by ||x|| + 1e-5 (Mangla et al., WACV 2020, section 3).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from s2m2.classifiers.base import FewShotTasks, InductiveClassifier, RandomState
from s2m2.recipe.ranges import FromZeroBelowOne, PositiveFloat, PositiveInt

SHIFT = 1e-5
"""Added to the length of a feature vector before dividing by it (S2M2)."""


@dataclass(kw_only=True, eq=False, repr=False)
class CosineClassifier(InductiveClassifier):
    """A new cosine classifier for every task (Mangla et al., WACV 2020, section 3.3; defaults: S2M2's protocol)."""

    name = "cosine"
    title = "cosine classifier"
    samples = True

    epochs: PositiveInt = 200
    """Passes over the support images; fixed in advance, never chosen by looking at the accuracy."""
    batch_size: PositiveInt = 4
    """Support images a step, in random order; the last batch of an epoch is smaller where they do not divide."""
    learning_rate: PositiveFloat = 0.01
    """Learning rate of SGD."""
    momentum: FromZeroBelowOne = 0.9
    """Momentum of SGD, as `torch.optim.SGD` defines it."""
    dampening: FromZeroBelowOne = 0.9
    """Fraction of a gradient that the momentum leaves out, from the second step on; without effect where the momentum is 0."""
    weight_decay: FromZeroBelowOne = 1e-3
    """Weight decay, on directions and norms alike."""
    scale: PositiveFloat = 2.0
    """Multiplier of the cosines before the softmax."""
    random_state: RandomState = 0
    """Seed of `fit`: a whole number repeats it; a NumPy RandomState or Generator gives each `fit` a seed; None makes each `fit` another.
    Calls with a batch of tasks get a generator."""

    def fit_tasks(self, tasks: FewShotTasks, generator: torch.Generator) -> "CosineWeights":
        """Fit to the support.

        The directions start as a linear layer's weights, uniform in +-1 / sqrt(dim), and the norms as their lengths. The support
        items of a task are shuffled once by its own permutation; then all tasks go through the same new orders, so that every
        task has a new uniform order of its own in every epoch.
        """
        (count, items, dim), ways, device = tasks.support.shape, tasks.ways, generator.device
        orders = torch.rand(self.epochs, items, generator=generator, device=device).argsort(dim=1)
        samples = torch.rand(count, ways * dim + items, generator=generator, device=device)
        initial = samples[:, : ways * dim].mul_(2).sub_(1).mul_(dim**-0.5).unflatten(1, (ways, dim)).to(tasks.support)
        shuffles = samples[:, ways * dim :].argsort(dim=1).to(tasks.support.device)
        indices = (shuffles + items * torch.arange(count, device=tasks.support.device)[:, None]).flatten()
        shuffled = tasks.support.flatten(0, 1).index_select(0, indices).unflatten(0, (count, items))
        return fit_cosine(initial, shuffled, tasks.labels.gather(1, shuffles), orders, self)


@dataclass(frozen=True, kw_only=True, eq=False)
class CosineWeights:
    """The fitted classifiers of a batch of tasks."""

    directions: Float[Tensor, "task way dim"]
    norms: Float[Tensor, "task way"]
    scale: float

    def scores(self, query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task query way"]:
        """Logits scale * g_c * cos(x, v_c)."""
        lengths = torch.linalg.vector_norm(query, dim=-1, keepdim=True) + SHIFT
        gains = self.scale * self.norms / torch.linalg.vector_norm(self.directions, dim=-1)
        return query @ self.directions.mT * gains[:, None] / lengths


def fit_cosine(
    initial: Float[Tensor, "task way dim"],
    support: Float[Tensor, "task item dim"],
    labels: Int64[Tensor, "task item"],
    orders: Int64[Tensor, "epoch item"],
    settings: CosineClassifier,
) -> CosineWeights:
    """Fit a classifier to the support of every task, starting from the directions `initial` and the norms ||initial||.

    Args:
        labels: way of each support item.
        orders: order of the items in each epoch, the same for all tasks; best on the CPU, so that nothing waits for a device. Items that
            every task has shuffled by a permutation of its own beforehand have an order of their own in every epoch.
    """
    lengths = torch.linalg.vector_norm(support, dim=-1) + SHIFT
    fit = _SpanFit(initial, support, lengths, labels, settings)
    gain = 1.0
    for order, numbers in zip(orders.to(support.device), orders.tolist(), strict=True):
        for start in range(0, len(numbers), settings.batch_size):
            chosen = slice(start, start + settings.batch_size)
            fit.step(order[chosen], numbers[chosen], gain)
            gain = 1 - settings.dampening if settings.momentum else 1.0
    coefficients = fit.coefficients.permute(2, 0, 1)
    directions = torch.baddbmm(coefficients[..., -1:] * initial, coefficients[..., :-1] / lengths[:, None], support)
    return CosineWeights(directions=directions, norms=fit.norms.T, scale=settings.scale)


class _SpanFit:
    """The directions of a fit as coefficients over the vectors whose span they never leave, so that no step sees the feature dimension.

    The gradient at v_c is a combination of the unit support features x_i and v_c itself, hence v_c stays a combination of the x_i and its
    own start u_c. A step needs the coefficients of v_c over x_1, ..., x_n, u_c, its inner products with the same, and the velocity of
    both; ||v_c||^2 is the sum of coefficient times product. This is exact, and needs no factorization of the span.

    The task axis is last: every operation then runs along it, however few classes and items a task has.
    """

    def __init__(
        self,
        initial: Float[Tensor, "task way dim"],
        support: Float[Tensor, "task item dim"],
        lengths: Float[Tensor, "task item"],
        labels: Int64[Tensor, "task item"],
        settings: CosineClassifier,
    ) -> None:
        (tasks, ways, _), items = initial.shape, support.shape[1]
        self.settings = settings
        gram = support @ support.mT / (lengths[:, None] * lengths[..., None])
        self.gram = gram.permute(1, 2, 0).contiguous().unbind()
        self.start = (initial @ support.mT / lengths[:, None]).permute(1, 2, 0).contiguous()
        self.targets = F.one_hot(labels, ways).permute(2, 1, 0).to(initial.dtype).contiguous()
        squares = initial.square().sum(-1).T.contiguous()
        self.state, self.velocity = initial.new_zeros(2, 2, ways, items + 1, tasks)
        self.coefficients, self.products = self.state
        self.coefficients[:, -1] = 1
        self.products[:, :-1] = self.start
        self.products[:, -1] = squares
        self.norms, self.norm_velocity = squares.sqrt(), torch.zeros_like(squares)
        self.work = torch.empty_like(self.coefficients)

    def step(self, batch: Int64[Tensor, " batch"], numbers: list[int], gain: float) -> None:
        """One step of gradient descent on a batch of items, given as a tensor and as numbers.

        With r_bc = scale * (softmax_bc - onehot_bc) / batch size the gradients are
            dL/dg_c = sum_b r_bc cos_bc,
            dL/dv_c = g_c / ||v_c|| * sum_b r_bc x_b - g_c / ||v_c||^2 * dL/dg_c * v_c.

        Args:
            gain: fraction of the gradient that enters the momentum.
        """
        settings = self.settings
        inverse = torch.mul(self.coefficients, self.products, out=self.work).sum(1).rsqrt_()
        cosines = self.products.index_select(1, batch).mul_(inverse[:, None])
        probabilities = torch.softmax(cosines * (self.norms * settings.scale)[:, None], dim=0)
        residuals = probabilities.sub_(self.targets.index_select(1, batch)).mul_(settings.scale / len(numbers))
        slopes = torch.mul(residuals, cosines).sum(1)
        inverse_norms = self.norms * inverse
        shrinkage = settings.weight_decay - inverse_norms * inverse * slopes
        self.velocity.mul_(settings.momentum).addcmul_(self.state, shrinkage[:, None], value=gain)
        self._accelerate(batch, numbers, residuals.mul_((inverse_norms * gain)[:, None]))
        self.state.add_(self.velocity, alpha=-settings.learning_rate)
        slopes.add_(self.norms, alpha=settings.weight_decay)
        self.norm_velocity.mul_(settings.momentum).add_(slopes, alpha=gain)
        self.norms.add_(self.norm_velocity, alpha=-settings.learning_rate)

    def _accelerate(self, batch: Int64[Tensor, " batch"], numbers: list[int], weights: Float[Tensor, "way batch task"]) -> None:
        """Add a combination of the features of a batch to the velocity of each class."""
        coefficients, products = self.velocity.unbind()
        coefficients.index_add_(1, batch, weights)
        products[:, -1] += (weights * self.start.index_select(1, batch)).sum(1)
        support_products = products[:, :-1]
        for number, weight in zip(numbers, weights.split(1, dim=1), strict=True):
            support_products.addcmul_(weight, self.gram[number])
