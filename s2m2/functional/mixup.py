"""Manifold mixup (Verma et al., ICML 2019, arXiv 1806.05236): mix the representations of two pictures, and their labels alike."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

LARGEST_BLOCK_COUNT = 8
SMALLEST_BLOCK = 8


@dataclass(frozen=True, kw_only=True)
class Mix:
    """One mixture of a batch with a reordering of itself."""

    stage: int
    """The representation that is mixed: the one that enters this stage of the backbone; 0 is the input."""
    weight: Float[Tensor, ""] | Float[Tensor, " batch"]
    """Share lambda of the picture itself; 1 - lambda is its partner's."""
    partner: Int64[Tensor, " batch"]
    """Row of each picture's partner in the batch."""

    def blend(self, values: Float[Tensor, " batch *axes"]) -> Float[Tensor, " batch *axes"]:
        """Lambda x_i + (1 - lambda) x_partner(i)."""
        weight = self.weight.to(values.dtype)
        weight = weight.reshape(-1, *[1] * (values.ndim - 1)) if weight.ndim else weight
        return torch.lerp(values[self.partner], values, weight)

    def loss(self, logits: Float[Tensor, "batch class"], labels: Int64[Tensor, " batch"]) -> Float[Tensor, ""]:
        """Mean of lambda CE(logits, y_i) + (1 - lambda) CE(logits, y_partner(i)): the cross entropy with mixed labels (S2M2, L_mm)."""
        own = F.cross_entropy(logits, labels, reduction="none")
        partners = F.cross_entropy(logits, labels[self.partner], reduction="none")
        return torch.lerp(partners, own, self.weight.to(own.dtype)).mean()


def draw_partners(batch_size: int, generator: torch.Generator, world_size: int = 1) -> Int64[Tensor, " batch"]:
    """A random reordering of a batch, within blocks of it, that leaves no picture in its place.

    The batch is shuffled already, so a partner from the same block is as random as any. Blocks let the same pairs meet whether
    the batch lies on one device or is shared by 2, 4 or 8, where every share has 8 pictures or more; else every device is a block.

    Raises:
        ValueError: the batch cannot be shared equally.
    """
    blocks = _block_count(batch_size, world_size)
    size = batch_size // blocks
    # Each picture's partner is the one before it in a random circle through its block: any other one is equally likely.
    circle = torch.rand(blocks, size, generator=generator, device=generator.device).argsort(dim=1)
    partners = torch.empty_like(circle).scatter_(1, circle, circle.roll(1, dims=1))
    return (partners + torch.arange(blocks, device=generator.device)[:, None] * size).flatten()


def _block_count(batch_size: int, world_size: int) -> int:
    if batch_size % world_size:
        raise ValueError(f"a batch of {batch_size} cannot be shared equally by {world_size} processes")
    blocks = LARGEST_BLOCK_COUNT
    while blocks > 1 and (batch_size % blocks or batch_size // blocks < SMALLEST_BLOCK):
        blocks //= 2
    return blocks if blocks % world_size == 0 else world_size
