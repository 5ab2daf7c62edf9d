"""The cosine classifier of S2M2 at the minimum of its loss."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.classifiers.base import FewShotTasks, InductiveClassifier
from s2m2.classifiers.cosine import SHIFT
from s2m2.classifiers.logistic_newton import fit_logistic
from s2m2.classifiers.span import FittedSpan, support_span
from s2m2.recipe.ranges import PositiveFloat


@dataclass(kw_only=True, eq=False, repr=False)
class ConvergedCosine(InductiveClassifier):
    """The limit of the paper's classifier (Mangla et al., WACV 2020, section 3) under endless fitting (defaults: S2M2's).

    Its loss is the mean cross entropy of scale * g_c * cos(x, v_c) plus weight_decay / 2 times the squared g_c and v_c. The cosines do
    not depend on the length of v_c, so its decay costs nothing in the limit, and w_c = g_c v_c / ||v_c|| remains: logistic regression
    without intercept on the features scale * x / (||x|| + 1e-5), with C = 1 / (items * weight_decay). That is a convex problem with one
    minimum, which Newton's method reaches from zero weights to 1e-8 in every probability, without random numbers.
    """

    name = "cosine_converged"
    title = "cosine classifier, converged"

    weight_decay: PositiveFloat = 1e-3
    """Weight decay, half of which multiplies the squared norms in the loss."""
    scale: PositiveFloat = 2.0
    """Multiplier of the cosines before the softmax."""

    def fit_tasks(self, tasks: FewShotTasks, generator: torch.Generator) -> "FittedConverged":
        """Fit to the minimum."""
        span = support_span(tasks.support * (self.scale / _lengths(tasks.support)), centered=False)
        strength = 1 / (tasks.support.shape[1] * self.weight_decay)
        fit = fit_logistic(span.gram, tasks.labels, tasks.ways, C=strength, intercept=False)
        return FittedConverged(linear=span.fitted(fit.coefficients, fit.intercepts), scale=self.scale)


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedConverged:
    """A linear classifier of scaled unit features."""

    linear: FittedSpan
    scale: float

    def scores(self, query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task query way"]:
        """Logits."""
        # The lengths are divided from the few scores, not from the many features.
        return query @ self.linear.weights.mT * (self.scale / _lengths(query)) + self.linear.constants[:, None]


def _lengths(features: Float[Tensor, "task item dim"]) -> Float[Tensor, "task item 1"]:
    return torch.linalg.vector_norm(features, dim=-1, keepdim=True) + SHIFT
