"""The single-step signed-gradient attack on a classifier (Goodfellow, Shlens and Szegedy, ICLR 2015, arXiv 1412.6572, section 4)."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

Logits = Callable[[Tensor], Tensor]
"""Normalized images "batch 3 size size" to logits "batch class"; in evaluation mode, so that no image depends on another."""


def gradient_signs(
    logits_of: Logits, images: Float[Tensor, "batch channel height width"], labels: Int64[Tensor, " batch"]
) -> Float[Tensor, "batch channel height width"]:
    """Signs of the gradient of each image's cross entropy by its values. They are the same on any scale of the values."""
    with torch.inference_mode(False), torch.enable_grad():
        batch = images.detach().clone().requires_grad_()
        loss = F.cross_entropy(logits_of(batch), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, batch)
    return gradient.sign()


def perturb(
    images: Float[Tensor, "batch channel height width"],
    signs: Float[Tensor, "batch channel height width"],
    epsilon: float,
    mean: Sequence[float],
    std: Sequence[float],
) -> Float[Tensor, "batch channel height width"]:
    """The images moved by epsilon * sign, on the scale of 0 to 1 that images have before they are normalized, and kept within it.

    Args:
        images: normalized, (x - mean) / std by channel.
        epsilon: on the scale of 0 to 1; 8 / 255 are 8 levels of an 8-bit image.
    """
    means, stds = (torch.tensor(tuple(values), dtype=images.dtype, device=images.device)[:, None, None] for values in (mean, std))
    pixels = (images * stds + means + epsilon * signs).clamp(0, 1)
    return (pixels - means) / stds
