"""`prepare`: images on disk become a dataset."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import PIL
from rich.table import Table

from s2m2 import __version__
from s2m2.console import Advance, console, count, first_named, literal, progress_bar, verb
from s2m2.data.dataset import SPLITS, ImageDataset
from s2m2.data.decode import MAX_MEGAPIXELS, Fit, Reading, Resize
from s2m2.data.pool import DecodedPiece, common_size, decode_pieces
from s2m2.data.sources import Listing, download_cifar100, list_source, survey_source
from s2m2.data.sources.listing import left_out_text, without_small
from s2m2.data.splits import split_classes, splits_origin
from s2m2.data.standard_datasets import DATASETS
from s2m2.data.writing import DatasetContents, DatasetWriter, check_output, writing_dataset
from s2m2.errors import InputError

DEFAULT_SIZE = 92
"""Size in pixels of own images that differ in size: a network of 80 pixels and the usual resize by 1.15 need as many."""
MAX_KEPT_SIZE = 256
"""Equal squares up to this size keep their size."""


def prepare(
    source: Path,
    output: Path,
    *,
    dataset: str = "auto",
    download: bool = False,
    splits: str | None = None,
    box: bool = False,
    rotated: bool = False,
    size: int | None = None,
    fit: Fit = "squash",
    resize: Resize = "bilinear",
    max_megapixels: float = MAX_MEGAPIXELS,
    gray_bits: int | None = None,
    min_images: int = 0,
    seed: int = 0,
    workers: int = 0,
    overwrite: bool = False,
    name: str | None = None,
) -> ImageDataset:
    """Read images, bring them to one square size, and write the dataset. `PrepareConfig` describes the arguments.

    After Ctrl-C or a kill the same call continues, unless an image has changed. Several processes decode many images, so a script
    calls this below `if __name__ == "__main__":`.

    Raises:
        InputError: the download, the source, an image, the splits or the output cannot be used. Nothing is left behind then; only if
            the system killed a process that decodes, the finished images are kept for the next call.
    """
    # The target of a link, as a folder is replaced by renames beside it.
    output, processes = Path(os.path.realpath(output)), workers or os.cpu_count() or 1
    check_output(output, overwrite=overwrite)
    if output.is_relative_to(os.path.realpath(source)):
        raise InputError(f"--output {output} lies inside --source {source}, where it would pass for a class")
    if download:
        download_cifar100(source)
    listing, small = _list(source, dataset, box, rotated, min_images)
    for reason, files in listing.left_out.items():
        console.print(left_out_text(reason, files))
    class_numbers = split_classes(listing.class_names, splits, seed, listing.splits, left_out=small)
    stored_size = size or choose_size(listing, processes)
    is_resized = _are_resized(listing, stored_size, processes)
    reading = Reading(max_megapixels=max_megapixels, gray_bits=gray_bits)
    contents = DatasetContents(
        name=name or listing.name,
        size=(stored_size, stored_size),
        labels=np.array(listing.labels, dtype=np.int64),
        class_names=listing.class_names,
        splits=class_numbers,
        settings={  # These keys enter the digest.
            "source": listing.name, "dataset": listing.dataset, "side": stored_size, "fit": fit, "box": box, "rotated": rotated,
            "splits": splits_origin(splits, listing.splits), "seed": seed,
            # Those that s2m2 0.1.0 did not have are left out where they change nothing, so that its digests stay valid.
            **({"resize": resize} if is_resized and resize != "fast" else {}), **({"gray_bits": gray_bits} if gray_bits else {}),
            **({"min_images": min_images} if small else {}),
        },
    )  # fmt: skip
    total = len(listing.images)
    with writing_dataset(output, contents, overwrite=overwrite, fingerprint=fingerprint(listing, contents)) as writer:
        if writer.written:
            console.print(f"continuing with {writer.written:,} of {total:,} images, which were decoded before")
        with progress_bar("decoding", total, "images", done=writer.written) as advance:
            left = listing.images[writer.written :]
            _append(writer, decode_pieces(left, stored_size, fit, processes, resize=resize, reading=reading), advance)
        return writer.finish()


def _list(source: Path, dataset: str, box: bool, rotated: bool, min_images: int) -> tuple[Listing, tuple[str, ...]]:
    """The images of a source without flaws, and the names of the classes that are too small to keep."""
    if not min_images:
        return list_source(source, dataset, box=box, rotated=rotated), ()
    listing, small = without_small(survey_source(source, dataset, box=box, rotated=rotated), min_images)
    if listing.flaws:
        raise InputError(listing.flaws[0].message)
    if small:
        number, verbed = count(len(small), "class", "classes"), verb(len(small), "is", "are")
        console.print(f"{number} of fewer than {min_images} images {verbed} left out: {first_named(small)}", markup=False)
    return listing, small


def choose_size(listing: Listing, processes: int) -> int:
    """Size of the stored squares in pixels, if the user states none.

    Squares of one size keep it, unless it is larger than the usual size of the dataset, or than 256 pixels for own images. All others
    get the usual size, 92 pixels for own images.
    """
    standard = DATASETS.get(listing.dataset or "")
    usual, largest = (standard.storage_size, standard.storage_size) if standard is not None else (DEFAULT_SIZE, MAX_KEPT_SIZE)
    first = common_size(listing.images[:1], processes)
    if standard is not None and first is not None and min(first) >= usual:
        return usual  # whatever the size of the others
    common = common_size(listing.images, processes)
    return common[0] if common is not None and common[0] == common[1] <= largest else usual


def _are_resized(listing: Listing, size: int, processes: int) -> bool:
    """Whether an image has another size than the stored ones, told without reading more headers than needed."""
    standard = DATASETS.get(listing.dataset or "")
    if standard is not None and standard.original_size == size:
        return False
    return any(common_size(images, processes) != (size, size) for images in (listing.images[:1], listing.images))


def fingerprint(listing: Listing, contents: DatasetContents) -> str:
    """Text that changes with the dataset: with images, told by length and modification time, settings, or the code."""
    hashed = hashlib.sha256(contents.start_digest().hexdigest().encode())
    hashed.update(json.dumps([contents.name, __version__, PIL.__version__, len(listing.images)]).encode())
    for image in listing.images:
        hashed.update(repr(image.stamp()).encode())
    return hashed.hexdigest()


def counts_table(dataset: ImageDataset) -> Table:
    """Classes and images of each split, to print."""
    table = Table(title=literal(dataset.name, "table.title"))
    for heading in ("split", "classes", "images"):
        table.add_column(heading, justify="left" if heading == "split" else "right")
    for split in SPLITS:
        classes = dataset.splits[split]
        table.add_row(split, f"{len(classes):,}", f"{int(np.isin(dataset.labels, classes).sum()):,}")
    return table


def _append(writer: DatasetWriter, pieces: Iterable[DecodedPiece], advance: Advance) -> None:
    unreadable: list[str] = []
    for piece in pieces:
        unreadable += piece.unreadable
        if not unreadable:  # The others are read all the same, so that one call finds every damaged image.
            writer.append(piece.images, piece.proportions)
        advance(len(piece.images))
    if unreadable:
        raise InputError(first_named(unreadable, separator="; "))
