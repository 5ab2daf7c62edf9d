"""Which pictures make up which batch, and fetching them. An order is a function of the seed and the epoch."""

from collections.abc import Iterator

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from s2m2.errors import InputError
from s2m2.seeding import StepStream, generator_for

RESIDENT_SHARE = 0.5
"""A table stays on a GPU while it takes at most this share of the GPU's free memory."""


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Whole batches in an epoch. The rest is left out, a different rest every epoch, so that all batches have one size.

    Raises:
        InputError: there are fewer pictures than a batch takes.
    """
    if count < batch_size:
        raise InputError(f"there are {count} base pictures, too few for a batch size of {batch_size}")
    return count // batch_size


def epoch_order(count: int, seed: int, stage: str, epoch: int, batch: int = 0) -> Int64[Tensor, " item"]:
    """The random order of one epoch; where steps take several batches, each of them has an order of its own."""
    return torch.randperm(count, generator=generator_for(seed, stage, "order", epoch, *[batch] * (batch > 0)))


def local_batch(order: Int64[Tensor, " item"], position: int, stream: StepStream) -> Int64[Tensor, " batch"]:
    """This process's share of the batch at a position of an epoch."""
    start = position * stream.batch_size
    return stream.local(order[start : start + stream.batch_size])


def ordered_batches(count: int, batch_size: int) -> Iterator[slice]:
    """Slices that cover `count` items in order; the last may be shorter."""
    for start in range(0, count, batch_size):
        yield slice(start, min(start + batch_size, count))


def resident(images: UInt8[Tensor, "image height width 3"], device: torch.device) -> UInt8[Tensor, "image height width 3"]:
    """The pictures where batches are fetched from: on the GPU while they fit well, else in host memory or on disk."""
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what an earlier stage no longer uses is free
    if device.type != "cuda" or images.nbytes > RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
        return images
    return images.to(device)


def fetch(
    images: UInt8[Tensor, "image height width 3"], rows: Int64[Tensor, " batch"], device: torch.device
) -> UInt8[Tensor, "batch height width 3"]:
    """Pictures by row, on the device that computes."""
    return images[rows.to(images.device)].to(device, non_blocking=True)
