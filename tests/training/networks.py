"""Tiny networks and batches for tests of the objectives."""

import torch
from torch import Tensor

from s2m2.models import Backbone
from s2m2.seeding import StepStream, generator_for
from tests.models.tiny import tiny_backbone

BATCH, CLASSES = 16, 5


def batch(views: int = 1) -> tuple[Tensor, Tensor]:
    """Views "view batch 3 side side" and labels of a batch of random pictures."""
    generator = generator_for(0, "batch")
    return torch.randn(views, BATCH, 3, 32, 32, generator=generator), torch.randint(CLASSES, (BATCH,), generator=generator)


def stream(step: int = 0, rank: int = 0, world_size: int = 1) -> StepStream:
    """The randomness of one step over that batch."""
    return StepStream(seed=0, stage="test", step=step, batch_size=BATCH, rank=rank, world_size=world_size)


def network() -> Backbone:
    """A small backbone in evaluation mode, where batch statistics do not tie pictures together."""
    backbone = tiny_backbone("conv4", image_size=32)
    return backbone.eval()
