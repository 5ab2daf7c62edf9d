"""`observe`: every picture of a subject is read and decoded once, in parallel; sixteen bytes of each are remembered, and two flags."""

import os
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8, UInt64

from s2m2.console import progress_bar
from s2m2.data.inspection.subject import Subject
from s2m2.data.look import HASH_BYTES, Look, look_at, look_at_pictures
from s2m2.data.pool import map_pieces
from s2m2.data.table import ImageTable, TableDigest

PIECE = 64
"""Pictures that are handed to a process or thread at a time."""
PIECES_AHEAD = 4
"""Pieces of a table that may wait for each thread."""


@dataclass(kw_only=True, eq=False)
class Observations:
    """What was seen of each picture, and in all; `observe` fills it."""

    digests: UInt8[np.ndarray, "picture 16"]
    """Of size and decoded pixels; zeros where the picture could not be read."""
    readable: Bool[np.ndarray, " picture"]
    constant: Bool[np.ndarray, " picture"]
    """Whether all pixels have one colour."""
    moments: Float64[np.ndarray, "class 2 3"]
    """Sum over the pictures of a class of the mean, and of the mean square, of their red, green and blue on a scale of 0 to 1."""
    unreadable: dict[int, str] = field(default_factory=dict)
    """Reason by row."""
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Pictures by width and height in pixels."""
    grey: int = 0
    """Pictures whose red, green and blue are equal everywhere."""
    digest: str | None = None
    """That of the table as it is now; None for pictures on disk."""

    @classmethod
    def nothing(cls, pictures: int, classes: int) -> "Observations":
        """Before the first picture."""
        return cls(
            digests=np.zeros((pictures, HASH_BYTES), dtype=np.uint8),
            readable=np.zeros(pictures, dtype=np.bool_),
            constant=np.zeros(pictures, dtype=np.bool_),
            moments=np.zeros((classes, 2, 3)),
        )

    def add(self, row: int, label: int, look: Look) -> None:
        """Note what was seen of a picture."""
        if look.reason is not None:
            self.unreadable[row] = look.reason
            return
        self.readable[row], self.constant[row] = True, look.constant
        self.digests[row] = np.frombuffer(look.digest, dtype=np.uint8)
        self.moments[label] += look.moments
        self.sizes[look.size] += 1
        self.grey += look.grey

    @property
    def hashes(self) -> UInt64[np.ndarray, "picture 2"]:
        """The digests as numbers."""
        return self.digests.view(np.uint64)

    def counts(self, labels: Int64[np.ndarray, " picture"], classes: int) -> Int64[np.ndarray, " class"]:
        """Readable pictures of each class."""
        return np.bincount(labels[self.readable], minlength=classes).astype(np.int64)


def observe(subject: Subject, workers: int = 0) -> Observations:
    """Read every picture of a subject; what cannot be read is remembered with the reason.

    Args:
        workers: processes that decode pictures on disk, threads that read a table; 0: one a CPU core. They change no result.
    """
    count, table = len(subject.labels), subject.table
    workers = workers or os.cpu_count() or 1
    check = TableDigest(table.images.shape, table.labels, table.class_names, table.splits, table.settings) if table is not None else None
    looks = _looks_at_table(table, workers, check) if table is not None and check is not None else _looks_at_files(subject, workers)
    seen = Observations.nothing(count, len(subject.class_names))
    with progress_bar(f"reading {subject.name}", count, "pictures") as advance:
        row = 0
        for piece in looks:
            for place, look in enumerate(piece):
                seen.add(row + place, int(subject.labels[row + place]), look)
            row += len(piece)
            advance(len(piece))
    seen.digest = check.hexdigest() if check is not None else None
    return seen


def _looks_at_files(subject: Subject, workers: int) -> Iterator[list[Look]]:
    yield from map_pieces(look_at_pictures, subject.pictures, PIECE, workers)


def _looks_at_table(table: ImageTable, workers: int, digest: TableDigest) -> Iterator[list[Look]]:
    """Looks in order. The digest takes each piece when it comes, which is soon after a thread has read it from the disk."""
    waiting: deque[tuple[UInt8[np.ndarray, "piece height width 3"], Future[list[Look]]]] = deque()

    def next_looks() -> list[Look]:
        images, future = waiting.popleft()
        digest.update(images)
        return future.result()

    # Threads do here, as hashing and counting let go of the interpreter.
    pool = ThreadPoolExecutor(workers, thread_name_prefix="inspect")
    try:
        for start in range(0, len(table.images), PIECE):
            images = table.images[start : start + PIECE]
            waiting.append((images, pool.submit(_look_at_images, images)))
            if len(waiting) >= PIECES_AHEAD * workers:
                yield next_looks()
        while waiting:
            yield next_looks()
    finally:
        pool.shutdown(cancel_futures=True)


def _look_at_images(images: UInt8[np.ndarray, "piece height width 3"]) -> list[Look]:
    return [look_at(image) for image in images]
