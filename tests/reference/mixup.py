"""Mixing image by image and class by class: Zhang et al. (2018), equation 1; Verma et al. (2019), section 2; S2M2, section 3.2."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def blend(values: Tensor, weights: Tensor, partners: Sequence[Sequence[int]]) -> Tensor:
    """Weights of partner j for image i; partners hold rows of the values, which may be more than the images."""
    mixed = []
    for row in range(len(partners[0])):
        total = (1 - sum(weights[number, row] for number in range(len(partners)))) * values[row]
        for number, rows in enumerate(partners):
            total = total + weights[number, row] * values[rows[row]]
        mixed.append(total)
    return torch.stack(mixed)


def features(stages: nn.ModuleList, images: Tensor, stage: int, weights: Tensor, partners: Sequence[Sequence[int]]) -> Tensor:
    """Run the stages before `stage`, mix what they give, and run the others."""
    values = images
    for module in list(stages)[:stage]:
        values = module(values)
    values = blend(values, weights, partners)
    for module in list(stages)[stage:]:
        values = module(values)
    return values


def targets(labels: Sequence[int], classes: int, weights: Tensor, partners: Sequence[Sequence[int]]) -> list[list[float]]:
    """Share of each class in each mixture."""
    shares = [[0.0] * classes for _ in partners[0]]
    for row in range(len(partners[0])):
        left = 1.0
        for number, rows in enumerate(partners):
            shares[row][labels[rows[row]]] += float(weights[number, row])
            left -= float(weights[number, row])
        shares[row][labels[row]] += left
    return shares


def cross_entropy(logits: Tensor, shares: Sequence[Sequence[float]]) -> Tensor:
    """Of soft targets, term by term."""
    total = torch.zeros((), dtype=logits.dtype)
    for row, row_shares in zip(logits, shares, strict=True):
        normalizer = sum(torch.exp(logit) for logit in row)
        for logit, share in zip(row, row_shares, strict=True):
            total = total - share * torch.log(torch.exp(logit) / normalizer)
    return total / len(logits)


def binary_cross_entropy(logits: Tensor, shares: Sequence[Sequence[float]]) -> Tensor:
    """Mean over classes of the binary cross entropy of the softmax, term by term."""
    total = torch.zeros((), dtype=logits.dtype)
    for row, row_shares in zip(logits, shares, strict=True):
        normalizer = sum(torch.exp(logit) for logit in row)
        for logit, share in zip(row, row_shares, strict=True):
            probability = torch.exp(logit) / normalizer
            total = total - (share * torch.log(probability) + (1 - share) * torch.log(1 - probability)) / len(row)
    return total / len(logits)
