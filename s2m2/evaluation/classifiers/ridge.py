"""Ridge regression to the labels of each task."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.evaluation.tasks import FewShotTasks
from s2m2.functional.linear import support_span, where_doubles_are
from s2m2.recipe.inductive import RidgeConfig


@dataclass(frozen=True, kw_only=True)
class Ridge:
    """The closed form of R2D2 (Bertinetto et al., ICLR 2019, section 3.2), W = X' (X X' + penalty)^-1 Y, with an intercept.

    Y is 1 for the class of an item and -1 for the others, and the intercept is not penalized, as in scikit-learn's `RidgeClassifier`:
    both are taken about their means over the support.
    """

    config: RidgeConfig

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Fit, and return the regression's values of the queries."""
        span = support_span(tasks.support, centerd=True)
        targets = 2 * where_doubles_are(tasks.one_hot()).mT.double() - 1
        level = targets.mean(1)
        system = span.gram.clone()
        system.diagonal(dim1=-2, dim2=-1).add_(self.config.penalty)
        coefficients = torch.cholesky_solve(targets - level[:, None], torch.linalg.cholesky(system))
        return span.scores(tasks.query, coefficients, level)
