"""Optimizers, schedules and EMA: optimizers, the learning rate of each step, and an exponential moving average of the weights (EMA)."""

import math
from copy import deepcopy
from itertools import chain
from typing import Literal

import torch
from torch import Tensor, nn

from s2m2.recipe import OptimizerConfig

Schedule = Literal["constant", "cosine", "one_cycle"]

FIRST_FACTOR = 1 / 25
"""Start of a one-cycle rise (Smith and Topin, 2018, arXiv 1708.07120, as commonly set)."""


def build_optimizer(config: OptimizerConfig, module: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of all parameters; those of one axis (biases, normalization, norms of a head) have no weight decay."""
    matrices = [values for values in module.parameters() if values.ndim > 1]
    vectors = [values for values in module.parameters() if values.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    fused = any(values.is_cuda for values in module.parameters()) or None
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, nesterov=config.momentum > 0, fused=fused)
    kind = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=config.learning_rate, fused=fused)


def set_learning_rate(optimizer: torch.optim.Optimizer, config: OptimizerConfig, step: int, steps: int) -> float:
    """Set the learning rate of one step of the stage, and return it."""
    rate = config.learning_rate * learning_rate_factor(config.schedule, step, steps, config.warmup)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def learning_rate_factor(schedule: Schedule, step: int, steps: int, warmup: float = 0.2) -> float:
    """The factor of the peak learning rate at one step: a pure function, so that a resumed run needs no scheduler state.

    constant: 1. cosine: half a cosine from 1 at step 0 to 0 (Loshchilov and Hutter, 2017, arXiv 1608.03983). one_cycle: linear from
    1/25 to 1, then half a cosine to 0. Zero is reached after the last step, so that every step moves the weights.

    Args:
        schedule: one of the three.
        step: from 0 to steps - 1.
        steps: steps of the whole stage.
        warmup: fraction of the steps in which one_cycle rises, between 0 and 1.
    """
    if schedule == "constant":
        return 1.0
    rise = warmup * steps if schedule == "one_cycle" else 0.0
    if step < rise:
        return FIRST_FACTOR + (1 - FIRST_FACTOR) * step / rise
    return (1 + math.cos(math.pi * min((step - rise) / (steps - rise), 1.0))) / 2


class MovingAverage(nn.Module):
    """A copy of a module that follows its weights and buffers (Polyak and Juditsky, SIAM 1992).

    Update t keeps min(decay, (1 + t) / (10 + t)) of the average, so that random initial weights are soon forgotten; the first
    update copies. The count of updates stays on the CPU, where reading it waits for nothing: torch's own `AveragedModel` sends it to
    the GPU and back at every update.
    """

    n_averaged: Tensor

    def __init__(self, module: nn.Module, decay: float) -> None:
        super().__init__()
        self.module, self.decay = deepcopy(module), decay
        self.register_buffer("n_averaged", torch.tensor(0))

    @torch.no_grad()
    def update_parameters(self, module: nn.Module) -> None:
        """Move towards the weights and buffers of the module."""
        count = int(self.n_averaged)
        averages, values = (list(chain(part.parameters(), part.buffers())) for part in (self.module, module))
        pairs = list(zip(averages, values, strict=True))
        moved = [pair for pair in pairs if pair[0].is_floating_point() and count > 0]
        copied = [pair for pair in pairs if not pair[0].is_floating_point() or count == 0]  # counters of batches, or everything
        if moved:
            keep = min(self.decay, (1 + count) / (10 + count))
            torch._foreach_lerp_([average for average, _ in moved], [value for _, value in moved], 1 - keep)
        if copied:
            torch._foreach_copy_([average for average, _ in copied], [value for _, value in copied])
        self.n_averaged += 1
