"""alpha-TIM (Veilleux et al., NeurIPS 2021), for queries in unequal numbers."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.evaluation.classifiers.tim import maximise_information
from s2m2.evaluation.tasks import FewShotTasks
from s2m2.recipe.transductive import AlphaTIMConfig

ONE_SHOT, FEW_SHOTS, MANY_SHOTS, MANY = 2.0, 5.0, 7.0, 5
"""Orders of the entropies at one shot, in between (and where shots differ), and from `MANY` shots on, as the authors' code has them."""


@dataclass(frozen=True, kw_only=True)
class AlphaTIM:
    """TIM with alpha-entropies of predictions and mean prediction (alpha-TIM, eq. 8 and 9).

    It does not assume balanced queries: the gain in entropy near the uniform mean prediction is small at large alpha. The cross
    entropy of the support stays Shannon's, as in the authors' experiments.
    """

    config: AlphaTIMConfig

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Fit, and return the logits of the queries."""
        alpha = self.config.alpha if self.config.alpha is not None else order_for(tasks.shots)
        return maximise_information(tasks, self.config, alpha)


def order_for(shots: int | None) -> float:
    """Order of the entropies that the authors chose on validation classes."""
    if shots == 1:
        return ONE_SHOT
    return MANY_SHOTS if shots is not None and shots >= MANY else FEW_SHOTS
