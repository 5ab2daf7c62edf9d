"""Ridge regression to the labels of each task."""

from dataclasses import dataclass

import torch

from s2m2.classifiers.base import FewShotTasks, InductiveClassifier
from s2m2.classifiers.span import FittedSpan, support_span, where_float64_is
from s2m2.recipe.ranges import PositiveFloat


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
        system = span.gram.clone()
        system.diagonal(dim1=-2, dim2=-1).add_(self.penalty)
        return span.fitted(torch.cholesky_solve(targets - level[:, None], torch.linalg.cholesky(system)), level)
