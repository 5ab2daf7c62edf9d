"""Many images decoded by several processes, in order.

Processes and not threads, as Pillow holds the interpreter for most of the time that a small image takes: two threads are slower
than one. This module imports no torch, as every process imports what this module does.
"""

import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8

from s2m2.data.decoding import Fit, decode_image, image_size
from s2m2.data.image import ListedImage
from s2m2.errors import InputError

Result = TypeVar("Result")
POOL_FROM = 1000
"""Images from which more processes save more time than they take to start."""
PIECE = 64
"""Images that a process is given at a time, where they are small."""
PIECE_BYTES = 1 << 23
"""Bytes of decoded images in a piece, at most, where more than one fits in."""
PIECES_AHEAD = 4
"""Pieces that may wait for each process, which bounds the memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedPiece:
    """Neighboring images of a listing."""

    images: UInt8[np.ndarray, "piece size size 3"]
    unreadable: tuple[str, ...]
    """One line for each image that could not be read, which is black in `images`."""


def decode_pieces(images: Sequence[ListedImage], size: int, fit: Fit, workers: int) -> Iterator[DecodedPiece]:
    """All images in order, as squares of `side` pixels; `workers` is the number of processes.

    Raises:
        InputError: a process was killed.
    """
    piece = max(1, min(PIECE, PIECE_BYTES // (size * size * 3)))
    return map_pieces(partial(_decode_piece, size=size, fit=fit), images, piece, workers)


def common_size(images: Sequence[ListedImage], workers: int) -> tuple[int, int] | None:
    """Width and height in pixels where all images that can be read have one size; reads heads of files until one differs.

    Raises:
        InputError: a process was killed.
    """
    common = _sizes(images[:PIECE])  # here, as most images that differ do so early
    if len(common) > 1:
        return None
    for sizes in map_pieces(_sizes, images[PIECE:], PIECE, workers):
        common |= sizes
        if len(common) > 1:
            return None
    return common.pop() if common else None


def _decode_piece(batch: Sequence[ListedImage], size: int, fit: Fit) -> DecodedPiece:
    images = np.zeros((len(batch), size, size, 3), dtype=np.uint8)
    unreadable = []
    for place, image in enumerate(batch):
        try:
            images[place] = decode_image(image, size, fit)
        except InputError as error:
            unreadable.append(str(error))
    return DecodedPiece(images=images, unreadable=tuple(unreadable))


def _sizes(images: Sequence[ListedImage]) -> set[tuple[int, int]]:
    found: set[tuple[int, int]] = set()
    for image in images:
        try:
            found.add(image_size(image))
        except InputError:
            continue  # decoding will name it
    return found


def map_pieces(
    work: Callable[[Sequence[ListedImage]], Result], images: Sequence[ListedImage], piece: int, workers: int
) -> Iterator[Result]:
    """What `work` makes of each piece: here where there are few, else by a pool of processes."""
    pieces = (images[start : start + piece] for start in range(0, len(images), piece))
    if workers == 1 or len(images) < POOL_FROM:
        for one in pieces:
            with _silence():
                result = work(one)
            yield result
        return
    waiting: deque[Future[Result]] = deque()
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_process)
    try:
        with _shielded():  # The processes start with the first pieces; Ctrl-C is for this process alone to hear.
            waiting.extend(pool.submit(work, one) for _, one in zip(range(workers), pieces, strict=False))
        for one in pieces:
            waiting.append(pool.submit(work, one))
            if len(waiting) >= PIECES_AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise InputError("a process that decodes images was killed, perhaps for want of memory; fewer --workers need less") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_process() -> None:
    """What a process of the pool does first: keep silent, and see to it that it ends with the one that wants its work."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


@contextmanager
def _shielded() -> Iterator[None]:
    """Hold back Ctrl-C for a moment; processes that start now never hear of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _silence() -> Iterator[None]:
    """No warnings about images that can be read all the same, not even those that libraries in C write to standard error."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
