"""`Objective`: what a training stage minimizes. It owns the heads it needs; the backbone stays clean."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from s2m2.models.backbone import Backbone
from s2m2.seeding import StepStream

Gather = Callable[[Tensor], Tensor]
"""Joins the features "copy image dim" of all processes along the image axis, with gradient."""


class LossTerms(NamedTuple):
    """The loss of one step."""

    total: Float[Tensor, ""]
    """What is minimized."""
    parts: dict[str, Float[Tensor, ""]]
    """Figures to log by name, without gradient."""


class Objective(Protocol):
    """Views of a batch to a loss."""

    views: int
    """Random variations of each image that a step needs."""
    batches: int
    """Batches that a step needs; the second one is drawn by itself and lies behind the first."""

    def __call__(
        self, backbone: Backbone, views: Float[Tensor, "view row 3 size size"], labels: Int64[Tensor, " row"], stream: StepStream
    ) -> LossTerms:
        """The loss of this process's share of a batch; random draws come from the stream."""
        ...


def accuracy(logits: Float[Tensor, "batch class"], labels: Int64[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Share of images whose highest logit is their class."""
    return (logits.detach().argmax(dim=1) == labels).to(torch.float32).mean()
