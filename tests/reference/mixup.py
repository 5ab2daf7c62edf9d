"""Manifold mixup picture by picture and class by class: Verma et al. (2019), section 2, and S2M2, section 3.2."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def blend(values: Tensor, weights: Sequence[float] | Tensor, partners: Sequence[int]) -> Tensor:
    mixed = [weights[row] * values[row] + (1 - weights[row]) * values[partners[row]] for row in range(len(values))]
    return torch.stack(mixed)


def features(stages: nn.ModuleList, images: Tensor, stage: int, weights: Sequence[float] | Tensor, partners: Sequence[int]) -> Tensor:
    """Run the stages before `stage`, mix what they give, and run the others."""
    values = images
    for module in list(stages)[:stage]:
        values = module(values)
    values = blend(values, weights, partners)
    for module in list(stages)[stage:]:
        values = module(values)
    return values


def loss(logits: Tensor, labels: Sequence[int], weights: Sequence[float] | Tensor, partners: Sequence[int]) -> Tensor:
    """Cross entropy with the mixed one-hot labels."""
    rows, classes = logits.shape
    total = torch.zeros((), dtype=logits.dtype)
    for row in range(rows):
        normaliser = torch.log(sum(torch.exp(logit) for logit in logits[row]))
        for number in range(classes):
            share = weights[row] * (labels[row] == number) + (1 - weights[row]) * (labels[partners[row]] == number)
            total = total - share * (logits[row, number] - normaliser)
    return total / rows
