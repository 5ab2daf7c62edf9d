"""Batch statistics over the whole batch, however many processes share it, so that a run does not depend on their number."""

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn

from s2m2.training.collectives import sum_over_processes


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over all processes, for CPUs; torch's own `SyncBatchNorm` takes GPUs only.

    Every process holds the same number of pictures, so the statistics are plain means over processes.
    """

    def forward(self, input: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch channel height width"]:
        """Normalise with the statistics of the whole batch (training) or the running ones (evaluation)."""
        if not self.training:
            return super().forward(input)
        axes = (0, 2, 3)
        # Two passes, as the mean of squares less the square of the mean would lose digits.
        values = input.to(self.weight.dtype)  # in mixed precision the input has fewer digits
        mean = sum_over_processes(values.mean(axes)) / dist.get_world_size()
        centred = values - mean[:, None, None]
        variance = sum_over_processes(centred.square().mean(axes)) / dist.get_world_size()
        self._track(mean.detach(), variance.detach(), input.numel() // input.shape[1] * dist.get_world_size())
        scale = self.weight / torch.sqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), self.momentum)


def share_statistics(module: nn.Module, device: torch.device) -> nn.Module:
    """The module with every batch normalisation replaced by one over all processes; parameters and names stay."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            shared = GlobalBatchNorm2d(child.num_features, child.eps, child.momentum, device=device, dtype=child.weight.dtype)
            shared.load_state_dict(child.state_dict())
            setattr(module, name, shared)
        else:
            share_statistics(child, device)
    return module
