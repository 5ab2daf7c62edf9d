"""`prepare`: pictures on disk become a table."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from s2m2.console import console, progress_bar
from s2m2.data.decoding import decode_picture, picture_size
from s2m2.data.picture import Picture
from s2m2.data.sources import Listing, cifar_fs, class_folders
from s2m2.data.splitting import split_classes
from s2m2.data.table import ImageTable
from s2m2.data.writing import check_output, writing_table
from s2m2.errors import InputError

Layout = Literal["auto", "class_folders", "cifar_fs"]
READERS: dict[str, Callable[[Path], Listing]] = {"class_folders": class_folders.list_pictures, "cifar_fs": cifar_fs.list_pictures}
DEFAULT_SIDE = 84
"""Side in pixels that pictures of different sizes get; the usual one for mini-ImageNet and CUB."""
PIECE = 64
"""Pictures that one thread decodes at a time."""
PIECES_AHEAD = 4
"""Pieces that may wait for each thread, which bounds the memory."""


def prepare(
    source: Path,
    output: Path,
    *,
    layout: Layout = "auto",
    splits: str | None = None,
    size: int | None = None,
    seed: int = 0,
    workers: int = 0,
    overwrite: bool = False,
    name: str | None = None,
) -> ImageTable:
    """Read pictures, bring them to one square size, and write the table. `PrepareConfig` describes the arguments.

    Raises:
        InputError: the source, a picture in it, the splits or the output cannot be used. Nothing is left behind then.
    """
    check_output(output, overwrite=overwrite)
    if output.resolve().is_relative_to(source.resolve()):
        raise InputError(f"--output {output} lies inside --source {source}, where it would pass for a class")
    listing = list_source(source, layout)
    if listing.ignored:
        console.print(f"{listing.ignored:,} files left out, as their names are not those of pictures")
    numbers = split_classes(listing.class_names, splits, seed, listing.splits)
    side = size or common_side(listing.pictures)
    # Of a path only the last part, so that a table is the same wherever its class lists lay.
    origin = Path(splits).name if splits else "of the source" if listing.splits else "shares"
    settings = {"source": listing.name, "side": side, "splits": origin, "seed": seed}
    count = len(listing.pictures)
    with (
        writing_table(output, shape=(count, side, side), overwrite=overwrite) as writer,
        progress_bar("decoding", count, "pictures") as advance,
    ):
        for images in decode_pictures(listing.pictures, side, workers or os.cpu_count() or 1):
            writer.append(images)
            advance(len(images))
        return writer.finish(
            name=name or listing.name,
            labels=np.array(listing.labels, dtype=np.int64),
            class_names=listing.class_names,
            splits=numbers,
            settings=settings,
        )


def list_source(source: Path, layout: Layout) -> Listing:
    """The pictures of a folder; `auto` recognises CIFAR-FS and else takes class folders."""
    if layout == "auto":
        layout = "cifar_fs" if cifar_fs.find_root(source) is not None else "class_folders"
    return READERS[layout](source)


def common_side(pictures: Sequence[Picture]) -> int:
    """The side of the pictures where all are squares of one size, else 84 pixels; reads heads of files until one differs."""
    width, height = picture_size(pictures[0])
    alike = width == height and all(picture_size(picture) == (width, width) for picture in pictures)
    return width if alike else DEFAULT_SIDE


def decode_pictures(pictures: Sequence[Picture], side: int, workers: int) -> Iterator[UInt8[np.ndarray, "piece side side 3"]]:
    """The pictures in order, in pieces, decoded by several threads: Pillow lets go of the interpreter while it decodes and resizes.

    Raises:
        InputError: a picture cannot be read.
    """
    waiting: deque[Future[UInt8[np.ndarray, "piece side side 3"]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        for start in range(0, len(pictures), PIECE):
            waiting.append(pool.submit(_decode_piece, pictures[start : start + PIECE], side))
            if len(waiting) >= PIECES_AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_piece(pictures: Sequence[Picture], side: int) -> UInt8[np.ndarray, "piece side side 3"]:
    return np.stack([decode_picture(picture, side) for picture in pictures])
