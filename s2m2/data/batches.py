"""Which images make up which batch, and fetching them. An order is a function of the seed and the epoch."""

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from s2m2.errors import InputError
from s2m2.seeding import StepStream, generator_for

RESIDENT_SHARE = 0.5
"""A dataset stays on a GPU while it takes at most this share of the GPU's free memory."""


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Whole batches in an epoch. The rest is left out, a different rest every epoch, so that all batches have one size.

    Raises:
        InputError: there are fewer images than a batch takes.
    """
    if count < batch_size:
        raise InputError(f"there are {count} base images, too few for a batch size of {batch_size}")
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
    """The images where batches are fetched from: on the GPU while they fit well, else in host memory or on disk."""
    if device.type == "cuda":
        gc.collect()  # steps and their readers refer to each other, so those of an earlier stage are still there
        torch.cuda.empty_cache()
    if device.type != "cuda" or images.nbytes > RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
        return images
    return images.to(device)


def fetch(
    images: UInt8[Tensor, "image height width 3"], rows: Int64[Tensor, " batch"], device: torch.device
) -> UInt8[Tensor, "batch height width 3"]:
    """Images by row, on the device that computes."""
    return images[rows.to(images.device)].to(device, non_blocking=True)


class Batch(NamedTuple):
    """The stored images of one step on this process, and their classes."""

    images: UInt8[Tensor, "row height width 3"]
    labels: Int64[Tensor, " row"]


class StepItems:
    """Which items this process meets in a step, one batch behind the other where a step takes several."""

    def __init__(self, count: int, stream_of: Callable[[int], StepStream], batches: int, device: torch.device) -> None:
        self.count, self.stream_of, self.batches, self.device = count, stream_of, batches, device
        self._epoch = -1
        self._orders: list[Tensor] = []

    def __call__(self, step: int) -> Int64[Tensor, " row"]:
        """Numbers of the items, on the device."""
        stream = self.stream_of(step)
        epoch, position = divmod(step, steps_per_epoch(self.count, stream.batch_size))
        if epoch != self._epoch:
            orders = (epoch_order(self.count, stream.seed, stream.stage, epoch, batch) for batch in range(self.batches))
            self._epoch, self._orders = epoch, [order.to(self.device) for order in orders]
        return torch.cat([local_batch(order, position, stream) for order in self._orders])


class BatchReader:
    """The images of one step after the other, on the device that computes.

    From a dataset that lies there a step picks what it needs. From any other a thread reads the images of the next step while this
    one computes: out of the memory map, and to a GPU through pinned memory on a stream of its own. What a step gets is the same.
    """

    def __init__(
        self,
        images: UInt8[Tensor, "image height width 3"],
        rows: Int64[Tensor, " item"],
        labels: Int64[Tensor, " item"],
        stream_of: Callable[[int], StepStream],
        device: torch.device,
        *,
        batches: int = 1,
        end: int,
    ) -> None:
        """Reads nothing yet.

        Args:
            images: all images of a dataset.
            rows: the row of each item in it.
            labels: the class of each item.
            stream_of: the randomness of each step.
            device: where the images are wanted.
            batches: batches that a step takes.
            end: the step before which nothing more is read ahead.
        """
        self.images = resident(images, device)
        place = self.images.device
        self.rows, self.labels = rows.to(place), labels.to(place)
        self.items = StepItems(len(rows), stream_of, batches, place)
        self.device, self.end = device, end
        picks = place.type == "cuda"
        # A new thread's GPU is the first one, whichever this process has.
        choose = partial(torch.cuda.set_device, device) if device.type == "cuda" else None
        self._thread = None if picks else ThreadPoolExecutor(max_workers=1, thread_name_prefix="images", initializer=choose)
        self._side = torch.cuda.Stream(device) if device.type == "cuda" and not picks else None
        self._ahead: tuple[int, Future[tuple[Batch, torch.cuda.Event | None]]] | None = None

    def __call__(self, step: int) -> Batch:
        """What this process needs of one step. Steps may be asked for in any order; one after the other is fast."""
        if self._thread is None:
            items = self.items(step)
            return Batch(self.images[self.rows[items]], self.labels[items])
        found = self._ahead[1] if self._ahead is not None and self._ahead[0] == step else self._thread.submit(self._read, step)
        batch, ready = found.result()
        self._ahead = (step + 1, self._thread.submit(self._read, step + 1)) if step + 1 < self.end else None
        if ready is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(ready)
            for values in batch:
                values.record_stream(current)
        return batch

    def _read(self, step: int) -> tuple[Batch, torch.cuda.Event | None]:
        """Read the images of a step in the thread. NumPy copies them, as torch would start threads of its own for it."""
        items = self.items(step)
        rows, labels = self.rows[items].numpy(), self.labels[items]
        images = torch.empty((len(rows), *self.images.shape[1:]), dtype=torch.uint8, pin_memory=self._side is not None)
        np.take(self.images.numpy(), rows, axis=0, out=images.numpy(), mode="clip")  # the other modes copy twice
        if self._side is None:
            return Batch(images.to(self.device), labels.to(self.device)), None
        with torch.cuda.stream(self._side):
            batch = Batch(images.to(self.device, non_blocking=True), labels.pin_memory().to(self.device, non_blocking=True))
            return batch, self._side.record_event()
