"""Batch statistics over the whole batch, however many processes share it, so that a run does not depend on their number."""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

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
        self.num_batches_tracked.add_(1)
        # Without momentum: the plain mean over all batches, as torch has it.
        momentum = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), momentum)


def reestimate_statistics(backbone: nn.Module, batches: Iterable[Float[Tensor, "batch 3 side side"]], seed: int) -> None:
    """Replace the running statistics by plain means over some batches, all of one size.

    While training they are gathered from pictures that are mixed, turned and cropped, and from weights that have changed since;
    where several processes share the batches, every one of them has to call this.

    Args:
        seed: of dropout, which is on meanwhile as it was in training.
    """
    torch.manual_seed(seed)
    update_bn(batches, backbone)


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
