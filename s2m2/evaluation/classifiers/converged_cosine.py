"""The cosine classifier of S2M2 at the minimum of its loss."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.evaluation.tasks import FewShotTasks
from s2m2.functional.cosine import SHIFT
from s2m2.functional.linear import support_span
from s2m2.functional.logistic import fit_logistic
from s2m2.recipe.inductive import ConvergedCosineConfig


@dataclass(frozen=True, kw_only=True)
class ConvergedCosine:
    """What the paper's classifier (Mangla et al., WACV 2020, section 3) would reach if it were fitted without end.

    Its loss is the mean cross entropy of scale * g_c * cos(x, v_c) plus weight_decay / 2 times the squared g_c and v_c. The cosines do
    not feel the length of v_c, so its decay costs nothing in the limit, and w_c = g_c v_c / ||v_c|| remains: logistic regression
    without intercept on the features scale * x / (||x|| + 1e-5), with C = 1 / (items * weight_decay). That is a convex problem with one
    minimum, which Newton's method reaches from zero weights to 1e-8 in every probability; nothing is drawn.
    """

    config: ConvergedCosineConfig

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Fit, and return the logits of the queries."""
        span = support_span(tasks.support * (self.config.scale / _lengths(tasks.support)), centerd=False)
        strength = 1 / (tasks.support.shape[1] * self.config.weight_decay)
        fit = fit_logistic(span.gram, tasks.labels, tasks.ways, inverse_penalty=strength, intercept=False)
        return span.scores(tasks.query, fit.coefficients, fit.intercepts) * (self.config.scale / _lengths(tasks.query))


def _lengths(features: Float[Tensor, "task item dim"]) -> Float[Tensor, "task item 1"]:
    return torch.linalg.vector_norm(features, dim=-1, keepdim=True) + SHIFT
