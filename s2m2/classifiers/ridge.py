"""Ridge regression to the labels of each task."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from s2m2.classifiers.base import FewShotTasks, InductiveClassifier
from s2m2.classifiers.span import FittedSpan, support_span, where_float64_is
from s2m2.recipe.ranges import PositiveFloat

CONDITION = 1e-8
"""Penalty, by the sum of the squared features of a task, below which a factorization loses its digits."""


@dataclass(kw_only=True, eq=False, repr=False)
class Ridge(InductiveClassifier):
    """The closed form of R2D2 (Bertinetto et al., ICLR 2019, section 3.2), W = X' (X X' + penalty)^-1 Y, with an intercept.

    Y is 1 for the class of an item and -1 for the others, and the intercept is not penalized, as in scikit-learn's `RidgeClassifier`:
    both are taken about their means over the support.
    """

    name = "ridge"
    title = "ridge regression"

    penalty: PositiveFloat = 1.0
    """Multiplier of the squared weights. R2D2 learns it together with its network; 1 is scikit-learn's."""

    def fit_tasks(self, tasks: FewShotTasks, generator: torch.Generator) -> FittedSpan:
        """Solve for the weights."""
        span = support_span(tasks.support, centered=True)
        targets = 2 * where_float64_is(tasks.one_hot()).mT.double() - 1
        level = targets.mean(1)
        return span.fitted(solve_ridge(span.gram, targets - level[:, None], self.penalty), level)


def solve_ridge(
    gram: Float64[Tensor, "task item item"], targets: Float64[Tensor, "task item way"], penalty: float
) -> Float64[Tensor, "task item way"]:
    """(K + penalty)^-1 Y of every task.

    Inner products about their mean are singular. A penalty below their rounding does not make up for that, so tasks with such large ones
    are solved by their eigenvectors, without those whose eigenvalue is 0 but for rounding: their part of the weights is 0.
    """
    large = gram.diagonal(dim1=-2, dim2=-1).sum(-1) * CONDITION > penalty
    system = torch.where(large[:, None, None], 0, gram)
    system.diagonal(dim1=-2, dim2=-1).add_(penalty)
    solved = torch.cholesky_solve(targets, torch.linalg.cholesky(system))
    if bool(large.any()):
        values, vectors = torch.linalg.eigh(gram[large])
        limit = values.amax(-1, keepdim=True) * (gram.shape[1] * torch.finfo(gram.dtype).eps)
        factors = torch.where(values > limit, 1 / (values + penalty), 0)
        solved[large] = vectors @ (factors[..., None] * (vectors.mT @ targets[large]))
    return solved
