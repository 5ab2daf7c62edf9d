"""`observe`: reads and decodes every image once, in parallel, and keeps sixteen bytes and two flags of each.

Imports no torch, as every process that decodes images imports this module.
"""

import hashlib
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8, UInt64
from PIL import UnidentifiedImageError

from s2m2.console import progress_bar
from s2m2.data.dataset import DatasetDigest, ImageDataset
from s2m2.data.decode import USUAL, ImageFile, ListedImage, Reading, decode_whole
from s2m2.data.inspection.subject import Subject
from s2m2.data.pool import map_pieces
from s2m2.errors import InputError

PIECE = 64
"""Images per piece of work of a process or thread."""
PIECES_AHEAD = 4
"""Pieces of a dataset in the queue of each thread, at most."""
LEVELS = np.arange(256, dtype=np.float64) / 255
HASH_BYTES = 16
"""Of SHA-256, the fastest safe hash on processors with instructions for it; 128 bits distinguish any number of images."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSummary:
    """What is kept of an image."""

    digest: bytes = bytes(HASH_BYTES)
    """Of size and decoded pixels."""
    reason: str | None = None
    """Why it cannot be read, in which case nothing else is set."""
    constant: bool = False
    """Whether all pixels have one color."""
    gray: bool = False
    """Whether red, green and blue are equal everywhere."""
    size: tuple[int, int] = (0, 0)
    """Width and height in pixels."""
    moments: Float64[np.ndarray, "2 3"] = field(default_factory=lambda: np.zeros((2, 3)))
    """Mean, and mean square, of red, green and blue on a scale of 0 to 1."""


@dataclass(kw_only=True, eq=False)
class Observations:
    """Summaries of all images of a subject."""

    digests: UInt8[np.ndarray, "image 16"]
    """Of size and decoded pixels; zeros of unreadable images."""
    readable: Bool[np.ndarray, " image"]
    constant: Bool[np.ndarray, " image"]
    """Whether all pixels have one color."""
    moments: Float64[np.ndarray, "class 2 3"]
    """Sum over the images of a class of the mean, and of the mean square, of red, green and blue on a scale of 0 to 1."""
    unreadable: dict[int, str] = field(default_factory=dict)
    """Reason by index."""
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Number of images by width and height in pixels."""
    gray: int = 0
    """Number of images whose red, green and blue are equal everywhere."""
    digest: str | None = None
    """Current digest of the dataset; None for images on disk."""

    @classmethod
    def empty(cls, images: int, classes: int) -> "Observations":
        """Before the first image."""
        return cls(
            digests=np.zeros((images, HASH_BYTES), dtype=np.uint8),
            readable=np.zeros(images, dtype=np.bool_),
            constant=np.zeros(images, dtype=np.bool_),
            moments=np.zeros((classes, 2, 3)),
        )

    def add(self, index: int, label: int, summary: ImageSummary) -> None:
        """Add an image."""
        if summary.reason is not None:
            self.unreadable[index] = summary.reason
            return
        self.readable[index], self.constant[index] = True, summary.constant
        self.digests[index] = np.frombuffer(summary.digest, dtype=np.uint8)
        self.moments[label] += summary.moments
        self.sizes[summary.size] += 1
        self.gray += summary.gray

    @property
    def hashes(self) -> UInt64[np.ndarray, "image 2"]:
        """The digests as numbers."""
        return self.digests.view(np.uint64)

    def counts(self, labels: Int64[np.ndarray, " image"], classes: int) -> Int64[np.ndarray, " class"]:
        """Number of readable images of each class."""
        return np.bincount(labels[self.readable], minlength=classes).astype(np.int64)


def observe(subject: Subject, workers: int = 0) -> Observations:
    """Read every image of a subject; unreadable ones are kept with the reason.

    Args:
        workers: processes that decode images on disk, or threads that read a dataset; 0: one per CPU core. The result is the same.
    """
    dataset, workers = subject.dataset, workers or os.cpu_count() or 1
    if dataset is None:
        digest, pieces = None, map_pieces(partial(summarize_listed, reading=subject.reading), subject.images, PIECE, workers)
    else:
        digest = DatasetDigest(dataset.images.shape, dataset.labels, dataset.class_names, dataset.splits, dataset.settings)
        pieces = _summarize_dataset(dataset, workers, digest)
    observations = Observations.empty(len(subject.labels), len(subject.class_names))
    with progress_bar(f"reading {subject.name}", len(subject.labels), "images") as advance:
        index = 0
        for summaries in pieces:
            for summary in summaries:
                observations.add(index, int(subject.labels[index]), summary)
                index += 1
            advance(len(summaries))
    observations.digest = digest.hexdigest() if digest is not None else None
    return observations


def summarize_listed(images: Sequence[ListedImage], reading: Reading = USUAL) -> list[ImageSummary]:
    """Summaries of images on disk, each decoded as a whole."""
    summaries = []
    for image in images:
        try:
            summaries.append(summarize(decode_whole(image, reading)))
        except InputError as error:
            summaries.append(ImageSummary(reason=_reason(image, error)))
    return summaries


def summarize(image: UInt8[np.ndarray, "height width 3"]) -> ImageSummary:
    """The summary of an image."""
    height, width = image.shape[:2]
    digest = hashlib.sha256(f"{width}x{height}:".encode())
    digest.update(np.ascontiguousarray(image).data)
    histogram = np.stack([np.bincount(image[..., channel].ravel(), minlength=256) for channel in range(3)])
    return ImageSummary(
        digest=digest.digest()[:HASH_BYTES],
        constant=bool((histogram.max(axis=1) == width * height).all()),
        gray=_is_gray(image, histogram),
        size=(width, height),
        moments=np.stack([histogram @ LEVELS, histogram @ LEVELS**2]) / (width * height),
    )


def equal_groups(hashes: UInt64[np.ndarray, "image 2"], readable: Bool[np.ndarray, " image"]) -> list[Int64[np.ndarray, " member"]]:
    """Indices of readable images with equal hashes, two or more per group, ascending; groups are ordered by their first index.

    Two different images share 128 bits with a probability below 1e-24 even among ten million.
    """
    indices = np.flatnonzero(readable)
    ordered = indices[np.lexsort((indices, hashes[indices, 1], hashes[indices, 0]))]
    equal = (hashes[ordered[1:]] == hashes[ordered[:-1]]).all(axis=1)
    # A group is a run of equal neighbors: it starts where `equal` becomes true and ends where it becomes false.
    edges = np.flatnonzero(np.diff(np.concatenate([[False], equal, [False]]).astype(np.int8)))
    groups = [ordered[start : stop + 1] for start, stop in edges.reshape(-1, 2).tolist()]
    return sorted(groups, key=lambda group: int(group[0]))


def _summarize_dataset(dataset: ImageDataset, workers: int, digest: DatasetDigest) -> Iterator[list[ImageSummary]]:
    """Summaries in order. The digest takes each piece soon after a thread has read it from the disk."""
    queue: deque[tuple[UInt8[np.ndarray, "piece height width 3"], Future[list[ImageSummary]]]] = deque()

    def next_piece() -> list[ImageSummary]:
        images, future = queue.popleft()
        digest.update(images)
        return future.result()

    # Threads are enough, as hashing and counting release the interpreter lock.
    pool = ThreadPoolExecutor(workers, thread_name_prefix="inspect")
    try:
        for start in range(0, len(dataset.images), PIECE):
            images = dataset.images[start : start + PIECE]
            queue.append((images, pool.submit(lambda piece: [summarize(image) for image in piece], images)))
            if len(queue) >= PIECES_AHEAD * workers:
                yield next_piece()
        while queue:
            yield next_piece()
    finally:
        pool.shutdown(cancel_futures=True)


def _is_gray(image: UInt8[np.ndarray, "height width 3"], histogram: Int64[np.ndarray, "3 256"]) -> bool:
    # Unequal histograms settle it quickly for most color images.
    equal = (histogram[0] == histogram[1]).all() and (histogram[0] == histogram[2]).all()
    return bool(equal and (image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all())


def _reason(image: ListedImage, error: InputError) -> str:
    """The fault of an image, without its path, which is in the error's message."""
    if isinstance(image, ImageFile) and image.path.is_file() and image.path.stat().st_size == 0:
        return "the file is empty"
    if isinstance(error.__cause__, UnidentifiedImageError):
        return "the content is that of no image"
    return " ".join(str(error.__cause__ or error).split()) or type(error.__cause__).__name__
