"""`observe`: every image of a subject is read and decoded once, in parallel; sixteen bytes of each are remembered, and two flags."""

import os
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8, UInt64

from s2m2.console import progress_bar
from s2m2.data.dataset import DatasetDigest, ImageDataset
from s2m2.data.inspection.subject import Subject
from s2m2.data.look import HASH_BYTES, Look, look_at, look_at_images
from s2m2.data.pool import map_pieces

PIECE = 64
"""Images that are handed to a process or thread at a time."""
PIECES_AHEAD = 4
"""Pieces of a dataset that may wait for each thread."""


@dataclass(kw_only=True, eq=False)
class Observations:
    """What was seen of each image, and in all; `observe` fills it."""

    digests: UInt8[np.ndarray, "image 16"]
    """Of size and decoded pixels; zeros where the image could not be read."""
    readable: Bool[np.ndarray, " image"]
    constant: Bool[np.ndarray, " image"]
    """Whether all pixels have one color."""
    moments: Float64[np.ndarray, "class 2 3"]
    """Sum over the images of a class of the mean, and of the mean square, of their red, green and blue on a scale of 0 to 1."""
    unreadable: dict[int, str] = field(default_factory=dict)
    """Reason by row."""
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Images by width and height in pixels."""
    gray: int = 0
    """Images whose red, green and blue are equal everywhere."""
    digest: str | None = None
    """That of the dataset as it is now; None for images on disk."""

    @classmethod
    def nothing(cls, images: int, classes: int) -> "Observations":
        """Before the first image."""
        return cls(
            digests=np.zeros((images, HASH_BYTES), dtype=np.uint8),
            readable=np.zeros(images, dtype=np.bool_),
            constant=np.zeros(images, dtype=np.bool_),
            moments=np.zeros((classes, 2, 3)),
        )

    def add(self, row: int, label: int, look: Look) -> None:
        """Note what was seen of an image."""
        if look.reason is not None:
            self.unreadable[row] = look.reason
            return
        self.readable[row], self.constant[row] = True, look.constant
        self.digests[row] = np.frombuffer(look.digest, dtype=np.uint8)
        self.moments[label] += look.moments
        self.sizes[look.size] += 1
        self.gray += look.gray

    @property
    def hashes(self) -> UInt64[np.ndarray, "image 2"]:
        """The digests as numbers."""
        return self.digests.view(np.uint64)

    def counts(self, labels: Int64[np.ndarray, " image"], classes: int) -> Int64[np.ndarray, " class"]:
        """Readable images of each class."""
        return np.bincount(labels[self.readable], minlength=classes).astype(np.int64)


def observe(subject: Subject, workers: int = 0) -> Observations:
    """Read every image of a subject; what cannot be read is remembered with the reason.

    Args:
        workers: processes that decode images on disk, threads that read a dataset; 0: one a CPU core. They change no result.
    """
    count, dataset = len(subject.labels), subject.dataset
    workers = workers or os.cpu_count() or 1
    check = (
        DatasetDigest(dataset.images.shape, dataset.labels, dataset.class_names, dataset.splits, dataset.settings)
        if dataset is not None
        else None
    )
    looks = _looks_at_table(dataset, workers, check) if dataset is not None and check is not None else _looks_at_files(subject, workers)
    seen = Observations.nothing(count, len(subject.class_names))
    with progress_bar(f"reading {subject.name}", count, "images") as advance:
        row = 0
        for piece in looks:
            for place, look in enumerate(piece):
                seen.add(row + place, int(subject.labels[row + place]), look)
            row += len(piece)
            advance(len(piece))
    seen.digest = check.hexdigest() if check is not None else None
    return seen


def _looks_at_files(subject: Subject, workers: int) -> Iterator[list[Look]]:
    yield from map_pieces(look_at_images, subject.images, PIECE, workers)


def _looks_at_table(dataset: ImageDataset, workers: int, digest: DatasetDigest) -> Iterator[list[Look]]:
    """Looks in order. The digest takes each piece when it comes, which is soon after a thread has read it from the disk."""
    waiting: deque[tuple[UInt8[np.ndarray, "piece height width 3"], Future[list[Look]]]] = deque()

    def next_looks() -> list[Look]:
        images, future = waiting.popleft()
        digest.update(images)
        return future.result()

    # Threads do here, as hashing and counting let go of the interpreter.
    pool = ThreadPoolExecutor(workers, thread_name_prefix="inspect")
    try:
        for start in range(0, len(dataset.images), PIECE):
            images = dataset.images[start : start + PIECE]
            waiting.append((images, pool.submit(_look_at_images, images)))
            if len(waiting) >= PIECES_AHEAD * workers:
                yield next_looks()
        while waiting:
            yield next_looks()
    finally:
        pool.shutdown(cancel_futures=True)


def _look_at_images(images: UInt8[np.ndarray, "piece height width 3"]) -> list[Look]:
    return [look_at(image) for image in images]
