"""Optimizers from their settings, and the learning rate as a function of the step."""

import torch
from torch import nn

from s2m2.functional.schedules import learning_rate_factor
from s2m2.recipe import OptimizerConfig


def build_optimizer(config: OptimizerConfig, module: nn.Module) -> torch.optim.Optimizer:
    """The optimizer over all parameters; those of one axis (biases, normalization, norms of a head) do not decay."""
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
