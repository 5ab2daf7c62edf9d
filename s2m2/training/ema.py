"""A moving average of the weights, which often generalizes better than the last of them (Polyak and Juditsky, SIAM 1992)."""

from copy import deepcopy
from itertools import chain

import torch
from torch import Tensor, nn


class MovingAverage(nn.Module):
    """A copy of a module that follows its weights and buffers.

    After update t the average keeps min(decay, (1 + t) / (10 + t)) of itself, so that it forgets random initial weights soon; the first
    update copies. The count of updates stays on the CPU, where reading it waits for nothing: torch's own `AveragedModel` sends it to the
    GPU and back at every update.
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
        averages, values = (list(chain(of.parameters(), of.buffers())) for of in (self.module, module))
        pairs = list(zip(averages, values, strict=True))
        moved = [pair for pair in pairs if pair[0].is_floating_point() and count > 0]
        copied = [pair for pair in pairs if not pair[0].is_floating_point() or count == 0]  # counters of batches, or everything
        if moved:
            torch._foreach_lerp_([own for own, _ in moved], [value for _, value in moved], 1 - min(self.decay, (1 + count) / (10 + count)))
        if copied:
            torch._foreach_copy_([own for own, _ in copied], [value for _, value in copied])
        self.n_averaged += 1
