"""Derivatives of losses by the logits of a block of tasks, way by way."""

import torch
from jaxtyping import Float
from torch import Tensor


def cross_entropy_residuals(
    logits: Float[Tensor, "task way item"], members: Float[Tensor, "task way item"]
) -> Float[Tensor, "task way item"]:
    """Of the mean cross entropy of a task's items: (p - onehot) / items.

    Args:
        members: 1 where an item belongs to a way, else 0.
    """
    return torch.softmax(logits, dim=1).sub_(members).div_(logits.shape[2])


def entropy_residuals(logits: Float[Tensor, "task way item"]) -> Float[Tensor, "task way item"]:
    """Of the mean Shannon entropy H of the predictions of a task's items: -p_k (log p_k + H) / items."""
    logs = torch.log_softmax(logits, dim=1)
    chances = logs.exp()
    products = chances * logs
    return products.addcmul_(chances, products.sum(1, keepdim=True), value=-1).div_(-logits.shape[2])
