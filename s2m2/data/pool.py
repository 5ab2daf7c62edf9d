"""Many images decoded by several processes, in order.

Processes rather than threads, as Pillow holds the interpreter lock for most of the time of a small image: two threads are slower than
one. This module imports no torch, as every process imports it.
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
from jaxtyping import Float32, UInt8

from s2m2.data.decode import USUAL, Fit, ListedImage, Reading, Resize, decode_square, image_size
from s2m2.errors import InputError

Result = TypeVar("Result")
POOL_FROM = 1000
"""Number of images from which more processes save more time than their start takes."""
PIECE = 64
"""Small images per piece of work."""
PIECE_BYTES = 1 << 23
"""Decoded bytes per piece, at most, if that is more than one image."""
PIECES_AHEAD = 4
"""Pieces in the queue of each process, at most, which bounds the memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedPiece:
    """Neighboring images of a listing."""

    images: UInt8[np.ndarray, "piece size size 3"]
    proportions: Float32[np.ndarray, " piece"]
    """Width by height of each image before it was squeezed."""
    unreadable: tuple[str, ...]
    """One line for each unreadable image, which is black in `images`."""


def decode_pieces(
    images: Sequence[ListedImage], size: int, fit: Fit, workers: int, *, resize: Resize = "bilinear", reading: Reading = USUAL
) -> Iterator[DecodedPiece]:
    """All images in order, as squares of `size` pixels; `workers` is the number of processes, and `decode_square` tells the others.

    Raises:
        InputError: a process was killed.
    """
    piece = max(1, min(PIECE, PIECE_BYTES // (size * size * 3)))
    return map_pieces(partial(_decode_piece, size=size, fit=fit, resize=resize, reading=reading), images, piece, workers)


def common_size(images: Sequence[ListedImage], workers: int) -> tuple[int, int] | None:
    """Width and height in pixels if all readable images have one size; reads headers of files until one differs.

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


def map_pieces(
    work: Callable[[Sequence[ListedImage]], Result], images: Sequence[ListedImage], piece: int, workers: int
) -> Iterator[Result]:
    """The result of `work` for each piece: computed here for few images, else by a pool of processes."""
    pieces = (images[start : start + piece] for start in range(0, len(images), piece))
    if workers == 1 or len(images) < POOL_FROM:
        for batch in pieces:
            with _no_warnings():
                result = work(batch)
            yield result
        return
    queue: deque[Future[Result]] = deque()
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_process)
    try:
        with _interrupts_blocked():  # The processes start with the first pieces; Ctrl-C is for this process alone.
            queue.extend(pool.submit(work, batch) for _, batch in zip(range(workers), pieces, strict=False))
        for batch in pieces:
            queue.append(pool.submit(work, batch))
            if len(queue) >= PIECES_AHEAD * workers:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    except BrokenProcessPool as error:
        raise InputError("a process that decodes images was killed, perhaps for want of memory; fewer --workers need less") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_piece(batch: Sequence[ListedImage], size: int, fit: Fit, resize: Resize, reading: Reading) -> DecodedPiece:
    images = np.zeros((len(batch), size, size, 3), dtype=np.uint8)
    proportions, unreadable = np.ones(len(batch), dtype=np.float32), []
    for index, image in enumerate(batch):
        try:
            images[index], proportions[index] = decode_square(image, size, fit, resize, reading)
        except InputError as error:
            unreadable.append(str(error))
    return DecodedPiece(images=images, proportions=proportions, unreadable=tuple(unreadable))


def _sizes(images: Sequence[ListedImage]) -> set[tuple[int, int]]:
    sizes: set[tuple[int, int]] = set()
    for image in images:
        try:
            sizes.add(image_size(image))
        except InputError:
            continue  # decoding will name it
    return sizes


def _start_process() -> None:
    """Initialize a process of the pool: it prints nothing, and ends with its parent."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C for a moment; processes that start now never receive it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _no_warnings() -> Iterator[None]:
    """No warnings about readable images, not even those that C libraries write to standard error."""
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)
