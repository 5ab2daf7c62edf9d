"""Batch normalization over the whole batch on any number of processes, so that a run does not depend on their number."""

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from s2m2.errors import InputError
from s2m2.training.distributed import gather_vectors


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization over all processes, for CPUs; torch's own `SyncBatchNorm` takes GPUs only.

    Every process holds the same number of images, so the statistics are plain means over processes.
    """

    def forward(self, input: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch channel height width"]:
        """Normalize with the statistics of the whole batch (training) or the running ones (evaluation)."""
        if not self.training:
            return super().forward(input)
        output, mean, variance = _Normalization.apply(input, self.weight, self.bias, self.eps)
        self._track(mean, variance, input.numel() // input.shape[1] * dist.get_world_size())
        return output

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


class _Normalization(torch.autograd.Function):
    """Normalize with means and variances over all processes, which cost one message forward and one back.

    With N values of a channel in all, x^ = (x - mean) / sqrt(variance + eps) and g the gradient of the output, that of the input is
        weight / sqrt(variance + eps) * (g - sum(g) / N - x^ sum(g x^) / N),
    with sums over all processes (Ioffe and Szegedy, ICML 2015). Weight and bias get the sums of this process alone, as
    gradients are averaged over processes later.
    """

    @staticmethod
    def forward(context: Any, values: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        # In mixed precision the input has fewer digits than the statistics need.
        means, variances = torch.batch_norm_update_stats(values.to(weight.dtype), None, None, 0.0)
        means, variances = gather_vectors(torch.stack([means, variances])).unbind(1)
        mean = means.mean(0)
        # Not the mean of squares less the square of the mean, which would lose digits.
        variance = (variances + (means - mean).square()).mean(0)
        context.save_for_backward(values, weight, mean, variance)
        context.eps = eps
        context.mark_non_differentiable(mean, variance)
        return F.batch_norm(values, mean, variance, weight, bias, training=False, eps=eps), mean, variance

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor, *unused: Tensor | None) -> tuple[Tensor, Tensor, Tensor, None]:
        saved, weight, mean, variance = context.saved_tensors
        values, incoming, inverse = saved.to(weight.dtype), gradient.to(weight.dtype), torch.rsqrt(variance + context.eps)
        _, weight_gradient, bias_gradient = torch.ops.aten.native_batch_norm_backward(
            incoming, values, weight, None, None, mean, inverse, True, context.eps, [False, True, True]
        )
        count = values.numel() // values.shape[1]
        product_mean, gradient_mean = gather_vectors(torch.stack([weight_gradient, bias_gradient])).mean(0) / count
        # The sum above as slope * x + offset + scale * g: two passes over the values.
        scale = weight * inverse
        slope = -scale * inverse * product_mean
        offset = -scale * gradient_mean - slope * mean
        values_gradient = torch.addcmul(offset[:, None, None], values, slope[:, None, None]).addcmul_(incoming, scale[:, None, None])
        return values_gradient.to(saved.dtype), weight_gradient, bias_gradient, None


def reestimate_statistics(backbone: nn.Module, batches: Iterable[Float[Tensor, "batch 3 size size"]], seed: int) -> None:
    """Replace the running statistics by plain means over some batches, all of one size.

    Those of training come from mixed, rotated and cropped images, and from earlier weights. Where several processes share the
    batches, every one of them has to call this.

    Args:
        seed: seed of dropout, which is on as in training.
    """
    torch.manual_seed(seed)
    update_bn(batches, backbone)


def check_shareable(module: nn.Module) -> None:
    """Raise `InputError` for batch normalizations that processes cannot share: those without weights, or with more than normalization.

    Those of some timm models include an activation, which would be lost.
    """
    for child in module.modules():
        if isinstance(child, _BatchNorm) and (type(child) not in (nn.BatchNorm2d, GlobalBatchNorm2d) or child.weight is None):
            raise InputError(
                f"--runtime.devices: several processes cannot share the statistics of {type(child).__name__} in this --model.backbone; "
                "train it on one"
            )


def share_statistics(module: nn.Module, device: torch.device) -> nn.Module:
    """The module with every batch normalization replaced by one over all processes; parameters and names stay.

    Raises:
        InputError: see `check_shareable`.
    """
    check_shareable(module)
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
