"""TIM-GD, transductive information maximization (Boudiaf et al., NeurIPS 2020), and alpha-TIM (Veilleux et al., NeurIPS 2021)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from s2m2.evaluation.tasks import FewShotTasks
from s2m2.functional.information import InformationSettings, information_logits
from s2m2.recipe.transductive import AlphaTIMConfig, TIMConfig


@dataclass(frozen=True, kw_only=True)
class TIM:
    """Class weights fitted by gradient descent to supervision and mutual information (TIM, eq. 1 to 3, section 3.4 "TIM-GD").

    It assumes balanced queries: the mutual information is largest where the mean prediction is uniform.
    """

    config: TIMConfig

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Fit, and return the logits of the queries."""
        return maximise_information(tasks, self.config, alpha=1.0)


def maximise_information(tasks: FewShotTasks, config: TIMConfig | AlphaTIMConfig, alpha: float) -> Float[Tensor, "task query way"]:
    """Fit class weights to features of unit length, and return the logits of the queries.

    Args:
        alpha: order of the entropies; 1 is Shannon's.
    """
    settings = InformationSettings(
        scale=config.scale,
        supervised=config.supervised,
        marginal=config.marginal,
        conditional=config.conditional,
        alpha=alpha,
        steps=config.steps,
        learning_rate=config.learning_rate,
        elementwise=config.adam == "elementwise",
    )
    items = F.normalize(torch.cat([tasks.support, tasks.query], dim=1), dim=-1)
    return information_logits(items, tasks.one_hot(), settings).mT
