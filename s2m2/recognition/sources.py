"""What a user points at: labeled images for a fit, and photos to name, as a stream that holds no long list in memory."""

import glob
import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from s2m2.console import count, first_named
from s2m2.data.decode import ImageFile
from s2m2.data.sources import survey_source
from s2m2.data.sources.class_folders import split_folders
from s2m2.data.sources.listing import ARCHIVE_REST, is_image_name, left_out_text, natural_key
from s2m2.errors import InputError
from s2m2.escaping import plain_cell
from s2m2.io import expanded
from s2m2.recognition.class_names import Label
from s2m2.recognition.read_ahead import as_items, kind_of
from s2m2.tasks.labels import label_array

STDIN = "-"
"""Photo argument that reads names, one a line, from standard input."""


@dataclass(frozen=True, kw_only=True)
class LabeledImages:
    """Images and their labels, none of them opened yet."""

    images: Sequence[Any]
    labels: tuple[Label, ...]
    notes: tuple[str, ...] = ()
    """What was left out, a sentence each."""


def labeled_images(images: Any, labels: Any = None) -> LabeledImages:
    """The images of a fit.

    Args:
        images: a folder of class folders or a csv list with the columns filename and label, without `labels`; else images of any kind.
        labels: of the images, whole numbers or text.

    Raises:
        InputError: the source has no classes, or there are not as many labels as images.
    """
    if labels is None:
        if not isinstance(images, str | Path):
            raise InputError("y is missing: without labels, X must be a folder of class folders or a csv list")
        return _listed(expanded(images))
    items = as_items(images)
    texts = plain_labels(labels)
    if len(texts) != len(items):
        raise InputError(f"y has {len(texts):,} labels, but X has {len(items):,} images")
    return LabeledImages(images=items, labels=texts)


def _listed(source: Path) -> LabeledImages:
    folders = split_folders(source) if source.is_dir() and any(source.iterdir()) else None
    if folders:
        names = [folder.name for folder in folders.values()]
        raise InputError(f"{source} holds the folders {', '.join(names[:-1])} and {names[-1]}, not classes; fit {folders[min(folders)]}")
    listing = survey_source(source, "own")
    notes = [flaw.message for flaw in listing.flaws]
    notes += [left_out_text(reason, files) for reason, files in listing.left_out.items()]
    images = [image.path for image in listing.images if isinstance(image, ImageFile)]
    # A list may be one that `s2m2 suggest` has written, with an apostrophe before what a spreadsheet would compute.
    names = [plain_cell(name) if source.is_file() else name for name in listing.class_names]
    return LabeledImages(images=images, labels=tuple(names[label] for label in listing.labels), notes=tuple(notes))


def plain_labels(labels: Any) -> tuple[Label, ...]:
    """Labels as whole numbers or text.

    Raises:
        InputError: y has another shape or other values, or an empty label.
    """
    values = label_array([labels] if isinstance(labels, str) else labels, "y").tolist()
    return tuple(plain_label(value) for value in values)


def plain_label(value: Any) -> Label:
    """One label as a whole number or text.

    Raises:
        InputError: it is neither, or empty.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, str | int | np.integer):
        raise InputError(f"the label {value!r} is neither text nor a whole number")
    if isinstance(value, str) and not value.strip():
        raise InputError("a label is empty")
    return str(value) if isinstance(value, str) else int(value)


def list_photos(arguments: Iterable[str]) -> Iterator[Path]:
    """Photos of files, folders, patterns such as `photos/*.jpg`, and `-` for names on standard input, in the order of the arguments.

    A folder gives all images in it and below it, folder by folder in natural order; hidden ones and files with other endings are left out.

    Raises:
        InputError: an argument names nothing.
    """
    for argument in arguments:
        if argument == STDIN:
            yield from _named_on_stdin()
        elif (kind := _kind(argument)) == "folder":
            yield from _below(expanded(argument), set())
        elif kind == "file":
            yield expanded(argument)
        elif glob.has_magic(argument):
            yield from _matching(argument)
        else:
            raise InputError(f"there is no file or folder {argument}")


def check_photos(arguments: Iterable[str]) -> None:
    """Raise `InputError` at once if an argument names nothing, rather than after hours of work on those before it."""
    for argument in arguments:
        if argument != STDIN and _kind(argument) is None:
            if not glob.has_magic(argument):
                raise InputError(f"there is no file or folder {argument}")
            if next(glob.iglob(str(expanded(argument)), recursive=True), None) is None:  # noqa: PTH207 (absolute ones as well)
                raise InputError(f"no file matches {argument}")


def _kind(argument: str) -> Literal["file", "folder"] | None:
    """See `kind_of`; a pattern may be longer than any name."""
    try:
        return kind_of(expanded(argument))
    except InputError:
        if glob.has_magic(argument):
            return None
        raise


def _named_on_stdin() -> Iterator[Path]:
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # names of files need not be UTF-8
    return (Path(line.rstrip("\r\n")) for line in sys.stdin if line.strip())


def _matching(pattern: str) -> Iterator[Path]:
    found = sorted(glob.glob(str(expanded(pattern)), recursive=True), key=natural_key)  # noqa: PTH207 (absolute ones as well)
    if not found:
        raise InputError(f"no file matches {pattern}")
    for path in map(Path, found):
        if path.is_dir():
            yield from _below(path, set())
        else:
            yield path


def _below(folder: Path, entered: set[tuple[int, int]]) -> Iterator[Path]:
    """Images below a folder; the names of one folder at a time are in memory. A folder that cannot be read stands for itself.

    Links are followed, but a folder is entered once, whatever leads to it: links may go in a circle.
    """
    try:
        state = folder.stat()
        if (state.st_dev, state.st_ino) in entered:
            return
        entered.add((state.st_dev, state.st_ino))
        with os.scandir(folder) as entries:
            names = [(entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".")]
    except OSError:
        yield folder  # which becomes a row with a reason, as any other image that cannot be read
        return
    for name, is_folder in sorted(names, key=lambda pair: natural_key(pair[0])):
        if is_folder and name != ARCHIVE_REST:
            yield from _below(folder / name, entered)
        elif not is_folder and is_image_name(name):
            yield folder / name


def skipped_note(skipped: Sequence[str]) -> str:
    """A sentence about images that could not be read."""
    return f"{count(len(skipped), 'image')} left out: {first_named(skipped, '; ')}"
