"""Transductive fine-tuning (Dhillon et al., ICLR 2020) on fixed features."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from s2m2.classifiers.adam import Adam
from s2m2.classifiers.base import MANY_STEPS, FewShotTasks, TransductiveClassifier
from s2m2.recipe.ranges import NonNegativeInt, PositiveFloat


@dataclass(kw_only=True, eq=False, repr=False)
class TransductiveFinetuning(TransductiveClassifier):
    """A linear classifier that starts at the support (eq. 6) and is fitted to support and queries in turn (eq. 7 and 8).

    The paper moves the whole network with it. On fixed features the classifier alone moves, and 50 steps of its learning rate change
    no weight by more than 0.0025: it stays near its start, the nearest class mean by cosine. The paper also feeds it the logits of
    the base classes rather than features.

    Features go through a ReLU first, as the logits do in the paper's start (eq. 6): negative values, as after centering, are lost.

    It does not assume balanced queries: no term asks for an even mean prediction.
    """

    name = "transductive_finetuning"
    title = "transductive fine-tuning"
    job = MANY_STEPS

    epochs: NonNegativeInt = 25
    """Epochs of two steps each: one on the cross entropy of the support, one on the entropy of the queries."""
    learning_rate: PositiveFloat = 5e-5
    """Learning rate of Adam. The paper's, with which it moves the whole network; a classifier alone hardly leaves its start."""
    scale: PositiveFloat = 1.0
    """Multiplier of the cosines before the softmax. The paper has none (1)."""

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Fit, and return the logits of the queries."""
        members = tasks.one_hot()
        support, query = (F.normalize(features.relu(), dim=-1) for features in (tasks.support, tasks.query))
        means = members / members.sum(-1, keepdim=True) @ tasks.support.relu()
        weights = F.normalize(means, dim=-1)
        biases = torch.zeros_like(weights[..., :1])
        optimizers = Adam(weights, self.learning_rate), Adam(biases, self.learning_rate)
        for _ in range(self.epochs):
            logits = torch.baddbmm(biases, weights, support.mT, alpha=self.scale)
            _step(optimizers, cross_entropy_gradients(logits, members), support, self.scale)
            logits = torch.baddbmm(biases, weights, query.mT, alpha=self.scale)
            _step(optimizers, entropy_gradients(logits), query, self.scale)
        return torch.baddbmm(biases, weights, query.mT, alpha=self.scale).mT


def _step(
    optimizers: tuple[Adam, Adam], gradients: Float[Tensor, "task way item"], items: Float[Tensor, "task item dim"], scale: float
) -> None:
    """A step of weights and biases, from the gradients of a loss by the logits."""
    weights, biases = optimizers
    weights.step((gradients @ items).mul_(scale))
    biases.step(gradients.sum(-1, keepdim=True))


def cross_entropy_gradients(
    logits: Float[Tensor, "task way item"], members: Float[Tensor, "task way item"]
) -> Float[Tensor, "task way item"]:
    """Of the mean cross entropy of a task's items, by their logits: (p - onehot) / items.

    Args:
        members: 1 where an item belongs to a way, else 0.
    """
    return torch.softmax(logits, dim=1).sub_(members).div_(logits.shape[2])


def entropy_gradients(logits: Float[Tensor, "task way item"]) -> Float[Tensor, "task way item"]:
    """Of the mean Shannon entropy H of the predictions of a task's items, by their logits: -p_k (log p_k + H) / items."""
    logs = torch.log_softmax(logits, dim=1)
    probabilities = logs.exp()
    products = probabilities * logs
    return products.addcmul_(probabilities, products.sum(1, keepdim=True), value=-1).div_(-logits.shape[2])
