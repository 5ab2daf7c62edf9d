"""Exact rotations and the loss of telling them apart (Gidaris et al., ICLR 2018, arXiv 1803.07728; S2M2, L_rot).

Turn after all other augmentation: a resampling that follows the turn would leave traces from which a network can read the angle.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

ROTATIONS = 4


def rot90(images: Float[Tensor, "batch channel size size"], rotations: Int64[Tensor, " batch"]) -> Float[Tensor, "batch channel size size"]:
    """Each image rotated counter-clockwise by its own number of quarter turns, without resampling: `torch.rot90(image, rotations)`.

    A rotation by one quarter is a transposition and then a reflection of the rows; by two, both reflections; by three, a
    transposition and a reflection of the columns. All images go through the same three selections, so nothing waits for the device.
    """
    rotations = rotations[:, None, None, None]
    images = torch.where(rotations % 2 == 1, images.mT, images)
    images = torch.where((rotations + 1) % ROTATIONS >= 2, images.flip(2), images)
    return torch.where(rotations % ROTATIONS >= 2, images.flip(3), images)


def all_rotations(
    images: Float[Tensor, "batch channel size size"],
) -> tuple[Float[Tensor, "4*batch channel size size"], Int64[Tensor, " 4*batch"]]:
    """Every image at all four rotations, and the number of rotations of each: the whole batch upright, then rotated once, and so on.

    The labels that belong to the result are `labels.repeat(4)`.
    """
    rotated = torch.cat([torch.rot90(images, rotations, (2, 3)) for rotations in range(ROTATIONS)])
    return rotated, torch.arange(ROTATIONS, device=images.device).repeat_interleave(len(images))


def rotation_loss(logits: Float[Tensor, "batch 4"], rotations: Int64[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Mean cross entropy of the four-way guess of each image's rotations (S2M2, L_rot)."""
    return F.cross_entropy(logits, rotations)
