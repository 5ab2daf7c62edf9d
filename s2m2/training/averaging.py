"""A moving average of the weights, which often generalises better than the last of them (Polyak and Juditsky, SIAM 1992)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def moving_average(module: nn.Module, decay: float) -> AveragedModel:
    """A copy of the module whose `update_parameters(module)` moves it towards the module's weights and buffers.

    After update t the average keeps min(decay, (1 + t) / (10 + t)) of itself, so that it forgets random initial weights soon.
    """

    def blend(averages: Sequence[Tensor], values: Sequence[Tensor], updates: Tensor | int) -> None:
        count = int(updates)
        weight = 1 - min(decay, (1 + count) / (10 + count))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(list(averages), list(values), weight)
        else:  # counters of batches
            torch._foreach_copy_(list(averages), list(values))

    # The count of updates stays on the CPU, where reading it waits for nothing.
    return AveragedModel(module, multi_avg_fn=blend, use_buffers=True)
