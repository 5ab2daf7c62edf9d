"""Transductive fine-tuning (Dhillon et al., ICLR 2020) on fixed features."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from s2m2.evaluation.tasks import FewShotTasks
from s2m2.functional.adam import Adam
from s2m2.functional.entropy import cross_entropy_residuals, entropy_residuals
from s2m2.recipe.transductive import TransductiveFinetuningConfig


@dataclass(frozen=True, kw_only=True)
class TransductiveFinetuning:
    """A linear classifier that starts at the support (eq. 6) and is fitted to support and queries in turn (eq. 7 and 8).

    The paper moves the whole network with it. On fixed features the classifier alone moves, and 50 steps of its learning rate change
    no weight by more than 0.0025: it stays near its start, the nearest class mean by cosine. The paper also feeds it the logits of
    the base classes rather than features.

    Features go through a ReLU first, as the logits do in the paper's start (eq. 6): what is negative in them, as after centering, is lost.

    It does not assume balanced queries: nothing asks for an even mean prediction.
    """

    config: TransductiveFinetuningConfig

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Fit, and return the logits of the queries."""
        config, members = self.config, tasks.one_hot()
        support, query = (F.normalize(features.relu(), dim=-1) for features in (tasks.support, tasks.query))
        means = members / members.sum(-1, keepdim=True) @ tasks.support.relu()
        weights = F.normalize(means, dim=-1)
        biases = torch.zeros_like(weights[..., :1])
        descents = Adam(weights, config.learning_rate), Adam(biases, config.learning_rate)
        for _ in range(config.epochs):
            logits = torch.baddbmm(biases, weights, support.mT, alpha=config.scale)
            _descend(descents, cross_entropy_residuals(logits, members), support, config.scale)
            logits = torch.baddbmm(biases, weights, query.mT, alpha=config.scale)
            _descend(descents, entropy_residuals(logits), query, config.scale)
        return torch.baddbmm(biases, weights, query.mT, alpha=config.scale).mT


def _descend(
    descents: tuple[Adam, Adam], residuals: Float[Tensor, "task way item"], items: Float[Tensor, "task item dim"], scale: float
) -> None:
    """A step of weights and biases, from the derivatives of a loss by the logits."""
    weights, biases = descents
    weights.step((residuals @ items).mul_(scale))
    biases.step(residuals.sum(-1, keepdim=True))
