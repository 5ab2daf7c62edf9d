"""Multinomial logistic regression on the support features of each task."""

from dataclasses import dataclass

import torch

from s2m2.classifiers.base import FewShotTasks, InductiveClassifier
from s2m2.classifiers.logistic_newton import fit_logistic
from s2m2.classifiers.span import FittedSpan, support_span
from s2m2.recipe.ranges import PositiveFloat


@dataclass(kw_only=True, eq=False, repr=False)
class LogisticRegression(InductiveClassifier):
    """Logistic regression with L2 penalty on the weights and none on the intercept (Tian et al., Rethinking Few-Shot, ECCV 2020):
    softmax of <x, w_c> + b_c, with a w_c for every class.

    The loss is that of scikit-learn's `LogisticRegression`, at its minimum. For two classes scikit-learn fits the difference of their
    weights alone, which amounts to twice the C.
    """

    name = "logistic"
    title = "logistic regression"

    C: PositiveFloat = 1.0
    """Multiplier of the summed cross entropy, against half the squared weights (default: scikit-learn's)."""

    def fit_tasks(self, tasks: FewShotTasks, generator: torch.Generator) -> FittedSpan:
        """Fit to the minimum."""
        span = support_span(tasks.support, centered=True)
        fit = fit_logistic(span.gram, tasks.labels, tasks.ways, C=self.C, intercept=True)
        return span.fitted(fit.coefficients, fit.intercepts)
