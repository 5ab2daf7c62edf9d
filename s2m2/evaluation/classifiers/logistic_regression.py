"""Multinomial logistic regression on the support features of each task."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.evaluation.tasks import FewShotTasks
from s2m2.functional.linear import support_span
from s2m2.functional.logistic import fit_logistic
from s2m2.recipe.inductive import LogisticConfig


@dataclass(frozen=True, kw_only=True)
class LogisticRegression:
    """Logistic regression with L2 penalty on the weights and none on the intercept (Tian et al., Rethinking Few-Shot, ECCV 2020):
    softmax of <x, w_c> + b_c, with a w_c for every class.

    The loss is that of scikit-learn's `LogisticRegression`, at its minimum. For two classes scikit-learn fits the difference of their
    weights alone, which amounts to twice the C.
    """

    config: LogisticConfig

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Fit, and return the logits of the queries."""
        span = support_span(tasks.support, centerd=True)
        fit = fit_logistic(span.gram, tasks.labels, tasks.ways, inverse_penalty=self.config.inverse_penalty, intercept=True)
        return span.scores(tasks.query, fit.coefficients, fit.intercepts)
