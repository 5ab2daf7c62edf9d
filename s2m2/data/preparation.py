"""`prepare`: images on disk become a dataset."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import PIL

from s2m2 import __version__
from s2m2.console import Advance, console, progress_bar
from s2m2.data.dataset import ImageDataset
from s2m2.data.datasets import DATASETS
from s2m2.data.decoding import Fit
from s2m2.data.pool import common_size, decode_pieces
from s2m2.data.sources import Listing, list_source
from s2m2.data.sources.listing import left_out_text
from s2m2.data.splitting import split_classes, splits_origin
from s2m2.data.wording import first_named
from s2m2.data.writing import DatasetContents, DatasetWriter, check_output, writing_dataset
from s2m2.errors import InputError

DEFAULT_SIZE = 92
"""Side in pixels that own images of different sizes get: a network that sees 80 pixels needs as many for the usual resize by 1.15."""
MAX_KEPT_SIZE = 256
"""Equal squares up to this side stay as they are."""


def prepare(
    source: Path,
    output: Path,
    *,
    dataset: str = "auto",
    splits: str | None = None,
    box: bool = False,
    rotated: bool = False,
    size: int | None = None,
    fit: Fit = "squash",
    seed: int = 0,
    workers: int = 0,
    overwrite: bool = False,
    name: str | None = None,
) -> ImageDataset:
    """Read images, bring them to one square size, and write the dataset. `PrepareConfig` describes the arguments.

    Where it was stopped by Ctrl-C or a kill, the same call continues, as long as no image has changed. Many images are decoded by
    several processes, so a script that calls this does so below `if __name__ == "__main__":`.

    Raises:
        InputError: the source, an image in it, the splits or the output cannot be used. Nothing is left behind then; only where the
            system killed a process that decodes, the images so far are kept for the next call.
    """
    # Where a link leads to, as a folder is replaced by renames beside it.
    output, processes = Path(os.path.realpath(output)), workers or os.cpu_count() or 1
    check_output(output, overwrite=overwrite)
    _refuse_inside(source, output)
    listing = list_source(source, dataset, box=box, rotated=rotated)
    for reason, number in listing.left_out.items():
        console.print(left_out_text(reason, number))
    numbers = split_classes(listing.class_names, splits, seed, listing.splits)
    target = size or choose_size(listing, processes)
    contents = DatasetContents(
        name=name or listing.name,
        size=(target, target),
        labels=np.array(listing.labels, dtype=np.int64),
        class_names=listing.class_names,
        splits=numbers,
        settings={
            "source": listing.name, "dataset": listing.dataset, "target": target, "fit": fit, "box": box, "rotated": rotated,
            "splits": splits_origin(splits, listing.splits), "seed": seed,
        },
    )  # fmt: skip
    count = len(listing.images)
    with writing_dataset(output, contents, overwrite=overwrite, fingerprint=fingerprint(listing, contents)) as writer:
        if writer.written:
            console.print(f"continuing with {writer.written:,} of {count:,} images, which were decoded before")
        with progress_bar("decoding", count, "images", done=writer.written) as advance:
            _decode_into(writer, listing, target, fit, processes, advance)
        return writer.finish()


def choose_size(listing: Listing, processes: int) -> int:
    """Side of the squares in a dataset, in pixels, where the user names none.

    Images that all are squares of one size stay as they are, unless they are larger than the dataset's usual side; of own images,
    unless they are larger than 256 pixels. All others get the dataset's usual size, 92 for own images.
    """
    dataset = DATASETS.get(listing.dataset or "")
    usual, largest = (dataset.storage_size, dataset.storage_size) if dataset is not None else (DEFAULT_SIZE, MAX_KEPT_SIZE)
    first = common_size(listing.images[:1], processes)
    if dataset is not None and first is not None and min(first) >= usual:
        return usual  # equal or not, so that no other need be looked at
    size = common_size(listing.images, processes)
    return size[0] if size is not None and size[0] == size[1] <= largest else usual


def fingerprint(listing: Listing, contents: DatasetContents) -> str:
    """Text that differs wherever anything of the dataset would: images, judged by length and time of change, settings, or the code."""
    hashed = hashlib.sha256(contents.start_digest().hexdigest().encode())
    hashed.update(json.dumps([contents.name, __version__, PIL.__version__, len(listing.images)]).encode())
    for image in listing.images:
        hashed.update(repr(image.stamp()).encode())
    return hashed.hexdigest()


def _decode_into(writer: DatasetWriter, listing: Listing, size: int, fit: Fit, processes: int, advance: Advance) -> None:
    unreadable: list[str] = []
    for piece in decode_pieces(listing.images[writer.written :], size, fit, processes):
        unreadable += piece.unreadable
        if not unreadable:  # The others are read all the same, so that one call finds all that are damaged.
            writer.append(piece.images)
        advance(len(piece.images))
    if unreadable:
        raise InputError(first_named(unreadable, separator="; "))


def _refuse_inside(source: Path, output: Path) -> None:
    if output.is_relative_to(os.path.realpath(source)):
        raise InputError(f"--output {output} lies inside --source {source}, where it would pass for a class")
