"""Rotation pixel by pixel and its loss image by image; the exemplar loss copy by copy (S2M2, section 3.2, with the signs of its text)."""

import torch
from torch import Tensor


def rotate90(images: Tensor, rotations: Tensor) -> Tensor:
    """A counter-clockwise rotation sends row i, column j of the result to row j, column size - 1 - i of the image."""
    rotated = []
    for image, count in zip(images, rotations.tolist(), strict=True):
        for _ in range(count):
            image = rotate_once(image)
        rotated.append(image)
    return torch.stack(rotated)


def rotate_once(image: Tensor) -> Tensor:
    size = image.shape[-1]
    result = torch.empty_like(image)
    for row in range(size):
        for column in range(size):
            result[:, row, column] = image[:, column, size - 1 - row]
    return result


def rotation_loss(logits: Tensor, rotations: Tensor) -> Tensor:
    total = torch.zeros((), dtype=logits.dtype)
    for row, count in zip(logits, rotations.tolist(), strict=True):
        total = total - torch.log(torch.exp(row[count]) / sum(torch.exp(logit) for logit in row))
    return total / len(logits)


def exemplar_loss(features: Tensor) -> Tensor:
    copies, images, _ = features.shape
    total = torch.zeros((), dtype=features.dtype)
    for copy in range(copies):
        for image in range(images):
            own, others = [], []
            for other_copy in range(copies):
                for other_image in range(images):
                    if (other_copy, other_image) == (copy, image):
                        continue
                    difference = features[copy, image] - features[other_copy, other_image]
                    (own if other_image == image else others).append(torch.sqrt((difference**2).sum()))
            total = total + torch.log(1 + torch.exp(max(own) - min(others)))
    return total / (copies * images)
