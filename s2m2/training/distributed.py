"""Sums and gatherings over processes with gradient, as the loss of a process depends on the images of the others.

Averaging gradients over processes minimizes L = the mean of their losses, so the gradient of a tensor that all processes use is the
sum of what each of them sends back.
"""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def sum_over_processes(values: Float[Tensor, " *axes"]) -> Float[Tensor, " *axes"]:
    """The sum of a tensor over all processes, on each of them."""
    total: Tensor = _Sum.apply(values)
    return total


def gather_images(features: Float[Tensor, "copy image dim"]) -> Float[Tensor, "copy images dim"]:
    """The features of the images of all processes, in order of their ranks, on each process."""
    slots = features.new_zeros(dist.get_world_size(), *features.shape)
    selection = torch.zeros(len(slots), device=features.device, dtype=features.dtype)
    selection[dist.get_rank()] = 1
    # A sum of zeros and one tensor is that tensor, exactly; these features are few, so the waste is small.
    joined = sum_over_processes(slots + features * selection[:, None, None, None])
    return joined.transpose(0, 1).flatten(1, 2)


def gather_vectors(vectors: Float[Tensor, "vector dim"]) -> Float[Tensor, "process vector dim"]:
    """A few vectors of every process, on each of them; without gradient."""
    parts = [torch.empty_like(vectors) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, vectors.contiguous())
    return torch.stack(parts)


def join_interleaved(values: Float[Tensor, "local dim"], count: int) -> Float[Tensor, "item dim"]:
    """The items of all processes in order, where process r of w has items r, r + w, r + 2 w and so on; without gradient."""
    world = dist.get_world_size()
    padded = F.pad(values, (0, 0, 0, -(-count // world) - len(values)))
    return gather_vectors(padded).transpose(0, 1).flatten(0, 1)[:count]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        total = values.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total
