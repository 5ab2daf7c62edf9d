"""Exact quarter turns and the loss of telling them apart (Gidaris et al., ICLR 2018, arXiv 1803.07728; S2M2, L_rot).

Turn after all other augmentation: a resampling that follows the turn would leave traces from which a network can read the angle.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

TURNS = 4


def quarter_turns(
    images: Float[Tensor, "batch channel side side"], turns: Int64[Tensor, " batch"]
) -> Float[Tensor, "batch channel side side"]:
    """Each picture turned counter-clockwise by its own number of quarter turns, without resampling: `torch.rot90(image, turns)`.

    A turn by one quarter is a transposition and then a reflection of the rows; by two, both reflections; by three, a
    transposition and a reflection of the columns. All pictures go through the same three selections, so nothing waits for the device.
    """
    turns = turns[:, None, None, None]
    images = torch.where(turns % 2 == 1, images.mT, images)
    images = torch.where((turns + 1) % TURNS >= 2, images.flip(2), images)
    return torch.where(turns % TURNS >= 2, images.flip(3), images)


def all_quarter_turns(
    images: Float[Tensor, "batch channel side side"],
) -> tuple[Float[Tensor, "4*batch channel side side"], Int64[Tensor, " 4*batch"]]:
    """Every picture at all four quarter turns, and the number of turns of each: the whole batch upright, then turned once, and so on.

    The labels that belong to the result are `labels.repeat(4)`.
    """
    turned = torch.cat([torch.rot90(images, turns, (2, 3)) for turns in range(TURNS)])
    return turned, torch.arange(TURNS, device=images.device).repeat_interleave(len(images))


def rotation_loss(logits: Float[Tensor, "batch 4"], turns: Int64[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Mean cross entropy of the four-way guess of each picture's quarter turns (S2M2, L_rot)."""
    return F.cross_entropy(logits, turns)
