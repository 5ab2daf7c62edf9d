"""The images of training: base images with their labels, their batches, and reading them. An order is a function of seed and epoch."""

import gc
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from s2m2.data.chunks import check_images
from s2m2.data.dataset import ImageDataset, LabeledImages
from s2m2.errors import InputError
from s2m2.random import StepStream, generator_for
from s2m2.recipe.data import DataConfig

RESIDENT_FRACTION = 0.5
"""A dataset stays on a GPU if it takes at most this fraction of the GPU's free memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BaseSplit:
    """Indices of base images in the dataset, and their base classes, counted from 0."""

    indices: Int64[Tensor, " item"]
    """Images for training."""
    labels: Int64[Tensor, " item"]
    """Their classes in training; some are wrong where `data.label_noise` is above 0."""
    true_labels: Int64[Tensor, " item"]
    """Their classes."""
    holdout_indices: Int64[Tensor, " holdout"]
    """Images of the same classes that training does not see: the fraction `data.holdout_fraction` of every class."""
    holdout_labels: Int64[Tensor, " holdout"]


def split_base(dataset: ImageDataset, config: DataConfig, seed: int) -> BaseSplit:
    """The base images for training and the holdout, a function of the dataset, the settings and the seed.

    A wrong label is any other class with equal probability (as in Zhang et al., ICLR 2018, section 3.4, but never the true one).

    Raises:
        InputError: a class would have no image left for training.
    """
    base = dataset.labeled("base")
    class_numbers = torch.tensor(dataset.splits["base"]).sort().values
    labels = torch.searchsorted(class_numbers, base.labels)
    holdout = _holdout(labels, config.holdout_fraction, seed)
    emptied = sorted(set(labels.tolist()) - set(labels[~holdout].tolist()))
    if emptied:
        name = dataset.class_names[int(class_numbers[emptied[0]])]
        raise InputError(f"--data.holdout_fraction is {config.holdout_fraction}, which leaves class {name} no image to train on")
    true_labels = labels[~holdout]
    return BaseSplit(
        indices=base.indices[~holdout],
        labels=_noisy(true_labels, len(class_numbers), config.label_noise, seed),
        true_labels=true_labels,
        holdout_indices=base.indices[holdout],
        holdout_labels=labels[holdout],
    )


def _holdout(labels: Int64[Tensor, " item"], fraction: float, seed: int) -> Tensor:
    """Whether each image is held out: a random fraction of every class, rounded."""
    keys = torch.rand(len(labels), generator=generator_for(seed, "held out"), dtype=torch.float64)
    order = (labels + keys).argsort()
    sizes = torch.bincount(labels)
    first = sizes.cumsum(0) - sizes
    ranks = torch.empty_like(order).scatter_(0, order, torch.arange(len(order))) - first[labels]
    return ranks < (fraction * sizes).round()[labels]


def _noisy(labels: Int64[Tensor, " item"], classes: int, fraction: float, seed: int) -> Int64[Tensor, " item"]:
    """The labels, a random fraction of them replaced by other classes, rounded."""
    generator = generator_for(seed, "corrupt labels")
    replaced = torch.randperm(len(labels), generator=generator)[: round(fraction * len(labels))]
    shifts = torch.randint(1, classes, (len(replaced),), generator=generator) if classes > 1 else 0
    return labels.index_copy(0, replaced, (labels[replaced] + shifts) % classes)


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Whole batches in an epoch. The remainder, different in every epoch, is left out, so that all batches have one size.

    Raises:
        InputError: there are fewer images than a batch takes.
    """
    if count < batch_size:
        raise InputError(f"there are {count} base images, too few for a batch size of {batch_size}; a smaller one works")
    return count // batch_size


def epoch_order(count: int, seed: int, stage: str, epoch: int, batch: int = 0) -> Int64[Tensor, " item"]:
    """The random order of one epoch; where steps take several batches, each of them has an order of its own."""
    return torch.randperm(count, generator=generator_for(seed, stage, "order", epoch, *[batch] * (batch > 0)))


def local_batch(order: Int64[Tensor, " item"], position: int, stream: StepStream) -> Int64[Tensor, " batch"]:
    """This process's part of the batch at a position of an epoch."""
    start = position * stream.batch_size
    return stream.local(order[start : start + stream.batch_size])


def resident(images: UInt8[Tensor, "image height width 3"], device: torch.device) -> UInt8[Tensor, "image height width 3"]:
    """The images where batches are read from: on the GPU if they fit well, else in host memory or on disk."""
    if device.type == "cuda":
        gc.collect()  # steps and their readers refer to each other, so those of an earlier stage remain
        torch.cuda.empty_cache()
    if device.type != "cuda" or images.nbytes > RESIDENT_FRACTION * torch.cuda.mem_get_info(device)[0]:
        return images
    check_images(images)
    return images.to(device)


def fetch(
    images: UInt8[Tensor, "image height width 3"], indices: Int64[Tensor, " batch"], device: torch.device
) -> UInt8[Tensor, "batch height width 3"]:
    """Images by index, on the device that computes.

    Raises:
        InputError: an image of a dataset is not the one that was written.
    """
    check_images(images, indices)
    return images[indices.to(images.device)].to(device, non_blocking=True)


class Batch(NamedTuple):
    """The stored images of one step on this process, their classes and proportions."""

    images: UInt8[Tensor, "item height width 3"]
    labels: Int64[Tensor, " item"]
    proportions: Float32[Tensor, " item"] | None
    """Width by height before an image was stored; None: of all as they are stored."""

    def map(self, move: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with every tensor moved somewhere."""
        return Batch(move(self.images), move(self.labels), None if self.proportions is None else move(self.proportions))


class StepItems:
    """The items of each step on this process; where a step takes several batches, one batch after the other."""

    def __init__(self, count: int, stream_of: Callable[[int], StepStream], batches: int, device: torch.device) -> None:
        self.count, self.stream_of, self.batches, self.device = count, stream_of, batches, device
        self._epoch = -1
        self._orders: list[Tensor] = []

    def __call__(self, step: int) -> Int64[Tensor, " item"]:
        """Positions of the items, on the device."""
        stream = self.stream_of(step)
        epoch, position = divmod(step, steps_per_epoch(self.count, stream.batch_size))
        if epoch != self._epoch:
            orders = (epoch_order(self.count, stream.seed, stream.stage, epoch, batch) for batch in range(self.batches))
            self._epoch, self._orders = epoch, [order.to(self.device) for order in orders]
        return torch.cat([local_batch(order, position, stream) for order in self._orders])


class BatchReader:
    """The images of one step after the other, on the device that computes.

    From a dataset on that device each step takes its images. From any other, a thread reads the images of the next step during the
    current one: from the memory map, and to a GPU through pinned memory on its own stream. The images are the same either way.
    """

    def __init__(
        self,
        images: LabeledImages,
        stream_of: Callable[[int], StepStream],
        device: torch.device,
        *,
        batches: int = 1,
        end: int,
    ) -> None:
        """Reads nothing yet.

        Args:
            images: images of a dataset, the items, and their classes.
            stream_of: the random stream of each step.
            device: the device of the batches.
            batches: batches per step.
            end: number of steps; nothing is read ahead beyond them.
        """
        self.images = resident(images.images, device)
        source = self.images.device
        self.indices, self.labels = images.indices.to(source), images.labels.to(source)
        self.proportions = None if images.proportions is None else images.proportions.to(source)
        self.items = StepItems(len(images), stream_of, batches, source)
        self.device, self.end = device, end
        is_resident = source.type == "cuda"
        # A new thread uses the first GPU, whichever this process has.
        choose = partial(torch.cuda.set_device, device) if device.type == "cuda" else None
        self._thread = None if is_resident else ThreadPoolExecutor(max_workers=1, thread_name_prefix="images", initializer=choose)
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" and not is_resident else None
        self._ahead: tuple[int, Future[tuple[Batch, torch.cuda.Event | None]]] | None = None

    def __call__(self, step: int) -> Batch:
        """The batch of one step on this process. Steps may come in any order; one after the other is fast."""
        if self._thread is None:
            items = self.items(step)
            indices = self.indices[items]
            return Batch(self.images[indices], self.labels[items], self._proportions(indices))
        future = self._ahead[1] if self._ahead is not None and self._ahead[0] == step else self._thread.submit(self._read, step)
        batch, ready = future.result()
        self._ahead = (step + 1, self._thread.submit(self._read, step + 1)) if step + 1 < self.end else None
        if ready is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(ready)
            for values in batch:
                if values is not None:
                    values.record_stream(current)
        return batch

    def _read(self, step: int) -> tuple[Batch, torch.cuda.Event | None]:
        """Read the images of a step in the thread. NumPy copies them, as torch would start more threads for it."""
        items = self.items(step)
        indices, labels = self.indices[items], self.labels[items]
        check_images(self.images, indices)
        images = torch.empty((len(indices), *self.images.shape[1:]), dtype=torch.uint8, pin_memory=self._stream is not None)
        np.take(self.images.numpy(), indices.numpy(), axis=0, out=images.numpy(), mode="clip")  # the other modes copy twice
        batch = Batch(images, labels, self._proportions(indices))
        if self._stream is None:
            return batch.map(lambda values: values.to(self.device)), None
        with torch.cuda.stream(self._stream):
            # Memory that is pinned already stays as it is.
            moved = batch.map(lambda values: values.pin_memory().to(self.device, non_blocking=True))
            return moved, self._stream.record_event()

    def _proportions(self, indices: Int64[Tensor, " item"]) -> Float32[Tensor, " item"] | None:
        return None if self.proportions is None else self.proportions[indices]
