"""Quarter turns pixel by pixel, and the four-way loss image by image."""

import torch
from torch import Tensor


def rotations(images: Tensor, turns: Tensor) -> Tensor:
    """A counter-clockwise rotation sends row i, column j of the result to row j, column size - 1 - i of the image."""
    turned = []
    for image, count in zip(images, turns.tolist(), strict=True):
        for _ in range(count):
            image = turn_once(image)
        turned.append(image)
    return torch.stack(turned)


def turn_once(image: Tensor) -> Tensor:
    size = image.shape[-1]
    result = torch.empty_like(image)
    for row in range(size):
        for column in range(size):
            result[:, row, column] = image[:, column, size - 1 - row]
    return result


def rotation_loss(logits: Tensor, turns: Tensor) -> Tensor:
    total = torch.zeros((), dtype=logits.dtype)
    for row, count in zip(logits, turns.tolist(), strict=True):
        total = total - torch.log(torch.exp(row[count]) / sum(torch.exp(logit) for logit in row))
    return total / len(logits)
