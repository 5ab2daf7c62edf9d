"""Mixtures of images: mixup (Zhang et al., ICLR 2018, arXiv 1710.09412) and manifold mixup (Verma et al., ICML 2019, arXiv 1806.05236).

Representations of two or more images are averaged with random weights, and their labels alike. Every member of the family is a
choice of where (`Mix.stage`), of whom (`Mix.partners`) and of how much (`Mix.weights`).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

MAX_BLOCK_COUNT = 8
MIN_BLOCK = 8


@dataclass(frozen=True, kw_only=True)
class Mix:
    """One mixture of each image of a batch with one or more partners."""

    stage: int
    """The representation that is mixed: the one that enters this stage of the backbone; 0 is the input."""
    weights: Float[Tensor, " partner"] | Float[Tensor, "partner batch"]
    """Share of each partner, lambda_1 and on; the image itself keeps 1 less their sum."""
    partners: Int64[Tensor, "partner batch"]
    """Rows of each image's partners among the rows that are given: those of the batch, then those of a second batch if there is one."""

    def blend(self, values: Float[Tensor, " row *axes"]) -> Float[Tensor, " batch *axes"]:
        """x_i + sum over j of lambda_j (x_partner(i, j) - x_i); a second batch is used up by it.

        In this form a weight of 0, or an image that is its own partner, leaves x_i as it is to the last bit.
        """
        own = values[: self.partners.shape[1]]
        mixed = own
        for weight, partner in zip(self.weights.to(values.dtype), self.partners, strict=True):
            mixed = mixed + weight.reshape(-1, *[1] * (values.ndim - 1)) * (values[partner] - own)
        return mixed

    def targets(self, labels: Int64[Tensor, " row"], classes: int) -> Float[Tensor, "batch class"]:
        """The labels mixed alike, as shares of classes."""
        return self.blend(F.one_hot(labels, classes).to(self.weights.dtype))


def soft_cross_entropy(logits: Float[Tensor, "batch class"], targets: Float[Tensor, "batch class"]) -> Float[Tensor, ""]:
    """- sum over classes of t_c log p_c, mean over the batch, p the softmax of the logits.

    Linear in the targets: with those of a mixture it is lambda CE(y_partner) + (1 - lambda) CE(y_own) (S2M2, L_mm).
    """
    return F.cross_entropy(logits, targets.to(logits.dtype))


def soft_binary_cross_entropy(logits: Float[Tensor, "batch class"], targets: Float[Tensor, "batch class"]) -> Float[Tensor, ""]:
    """- 1/2 sum over classes of t_c log p_c + (1 - t_c) log(1 - p_c), mean over the batch, p the softmax of the logits.

    Verma et al. train with a binary cross entropy of every class. Halved, it equals `soft_cross_entropy` for two classes, where both
    say the same; for more it also pushes wrong classes down one by one.
    """
    if logits.shape[1] == 1:  # nothing to tell apart; both losses are 0
        return soft_cross_entropy(logits, targets)
    logarithms = F.log_softmax(logits, dim=1)
    # log(1 - p): of the likeliest class by what the others hold, as its p may be 1 in floating point; of these from p, at most a half.
    top = logits.argmax(dim=1, keepdim=True)
    rest = logits.scatter(1, top, -torch.inf).logsumexp(dim=1, keepdim=True) - logits.logsumexp(dim=1, keepdim=True)
    others = torch.log(-torch.expm1(logarithms.scatter(1, top, -1.0))).scatter(1, top, rest)
    targets = targets.to(logits.dtype)
    return -(targets * logarithms + (1 - targets) * others).sum(dim=1).mean() / 2


def draw_partners(batch_size: int, generator: torch.Generator, world_size: int = 1, partners: int = 1) -> Int64[Tensor, "partner batch"]:
    """Random reorderings of a batch, within blocks of it, in which no image is its own partner and none has the same partner twice.

    The batch is shuffled already, so a partner from the same block is as random as any. Blocks let the same pairs meet whether
    the batch lies on one device or is shared by 2, 4 or 8, where every share has 8 images or more; else every device is a block.

    Raises:
        ValueError: the batch cannot be shared equally, or a block has too few images for so many partners.
    """
    blocks = _block_count(batch_size, world_size)
    size = batch_size // blocks
    if partners >= max(size, 2):
        raise ValueError(f"{partners} partners for each image need more than the {size} images that are mixed with each other")
    # An image's partners are those before it in a random circle through its block: any other ones are equally likely.
    circle = torch.rand(blocks, size, generator=generator, device=generator.device).argsort(dim=1)
    before = torch.stack([torch.empty_like(circle).scatter_(1, circle, circle.roll(shift, dims=1)) for shift in range(1, partners + 1)])
    return (before + torch.arange(blocks, device=generator.device)[:, None] * size).flatten(1)


def draw_partners_of_class(labels: Int64[Tensor, " batch"], keys: Float[Tensor, "partner batch"]) -> Int64[Tensor, "partner batch"]:
    """Partners of the same class: for each partner, a random circle through the images of every class.

    An image that is alone in its class is its own partner, which leaves it as it is.

    Args:
        labels: class of each image.
        keys: independent uniform numbers in [0, 1), which order the circles.
    """
    places, found = torch.arange(len(labels), device=labels.device), []
    for key in keys.double():
        circle = (labels + key).argsort()
        classes = labels[circle]
        first = torch.searchsorted(classes, classes)
        last = torch.searchsorted(classes, classes, right=True) - 1
        before = torch.where(places == first, last, places - 1)
        found.append(torch.empty_like(circle).scatter_(0, circle, circle[before]))
    return torch.stack(found)


def _block_count(batch_size: int, world_size: int) -> int:
    if batch_size % world_size:
        raise ValueError(f"a batch of {batch_size} cannot be shared equally by {world_size} processes")
    blocks = MAX_BLOCK_COUNT
    while blocks > 1 and (batch_size % blocks or batch_size // blocks < MIN_BLOCK):
        blocks //= 2
    return blocks if blocks % world_size == 0 else world_size
