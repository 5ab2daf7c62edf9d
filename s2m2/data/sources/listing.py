"""`Listing`: what every reader of pictures on disk returns, and the rules by which all of them find classes and files."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from s2m2.data.picture import Picture, PictureFile
from s2m2.data.table import Split
from s2m2.errors import InputError

PICTURE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
NAMED_AT_MOST = 3
"""Files that an error message names before it counts the rest."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Pictures on disk, none of them opened yet, class after class."""

    name: str
    """Name of the data set."""
    root: Path
    pictures: tuple[Picture, ...]
    labels: tuple[int, ...]
    """Class number of each picture, an index of `class_names`."""
    class_names: tuple[str, ...]
    splits: Mapping[Split, tuple[str, ...]] | None = None
    """Class names of each split, where the layout or the data set brings them."""
    ignored: int = 0
    """Files left out because their names are not those of pictures."""
    dataset: str | None = None
    """The entry of `DATASETS` that this is, None for own pictures."""


NaturalKey = tuple[tuple[str | tuple[int, str], ...], str]


def natural_key(text: str) -> NaturalKey:
    """Key that sorts numbers inside names by value: class2 before class10. Names that differ never compare equal."""
    parts = re.split(r"(\d+)", text)
    # By length and then digit by digit, as Python refuses to make a number of thousands of digits.
    digits = [part.lstrip("0") for part in parts]
    return tuple((len(digits[place]), digits[place]) if place % 2 else part for place, part in enumerate(parts)), text


def listing_of(
    classes: Mapping[str, Sequence[Picture]],
    name: str,
    root: Path,
    *,
    splits: Mapping[Split, Sequence[str]] | None = None,
    ignored: int = 0,
    dataset: str | None = None,
) -> Listing:
    """A listing of the pictures of each class; classes in natural order, pictures in the order given.

    Raises:
        InputError: there is no class, or a class has no picture.
    """
    if not classes:
        raise InputError(f"{root} has no classes")
    names = sorted(classes, key=natural_key)
    for class_name in names:
        if not classes[class_name]:
            raise InputError(f"class {class_name} has no picture in {root}")
    return Listing(
        name=name,
        root=root,
        pictures=tuple(picture for class_name in names for picture in classes[class_name]),
        labels=tuple(label for label, class_name in enumerate(names) for _ in classes[class_name]),
        class_names=tuple(names),
        splits=None if splits is None else {split: tuple(splits[split]) for split in splits},
        ignored=ignored,
        dataset=dataset,
    )


def list_class_folders(folders: Mapping[str, Path], name: str, root: Path) -> Listing:
    """List the pictures in the folder of each class, files in natural order.

    Hidden files are passed over in silence, files that are no pictures are counted, folders inside a class folder are not entered.

    Raises:
        InputError: a class has no picture, or a folder or link in it cannot be followed.
    """
    classes: dict[str, list[Picture]] = {}
    ignored = 0
    for class_name, folder in folders.items():
        files, others = picture_names(folder)
        if not files:
            raise InputError(f"class {class_name} has no picture in {folder}")
        classes[class_name] = [PictureFile(path=folder / file) for file in files]
        ignored += others
    return listing_of(classes, name, root, ignored=ignored)


def picture_names(folder: Path) -> tuple[list[str], int]:
    """Names of the picture files in a folder, in natural order, and the number of other files.

    Raises:
        InputError: the folder cannot be read, or a link in it leads nowhere.
    """
    files = visible(folder, os.DirEntry.is_file)
    pictures = [file for file in files if Path(file).suffix.lower() in PICTURE_SUFFIXES]
    return pictures, len(files) - len(pictures)


def folder_names(root: Path) -> list[str]:
    """Names of the folders inside `root`, hidden ones left out, in natural order.

    Raises:
        InputError: there is no folder `root`, it cannot be read, or no folder is in it.
    """
    if not root.is_dir():
        raise InputError(f"no such folder {root}")
    names = visible(root, os.DirEntry.is_dir)
    if not names:
        raise InputError(f"{root} has no class folders")
    return names


def visible(folder: Path, kind: Callable[[os.DirEntry[str]], bool]) -> list[str]:
    """Names of the entries of a folder that are not hidden and of one kind, in natural order.

    Raises:
        InputError: the folder cannot be read, or a link in it leads nowhere or round in a circle.
    """
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink():
                    Path(entry.path).stat()  # Otherwise a picture behind a broken link would be missing in silence.
                if kind(entry):
                    found.append(entry.name)
    except OSError as error:
        raise InputError(f"cannot read {error.filename or folder}: {error.strerror or error}") from error
    return sorted(found, key=natural_key)


def counted(names: Sequence[str]) -> str:
    """The first names and the number of the rest, for an error message."""
    more = f" and {len(names) - NAMED_AT_MOST:,} more" if len(names) > NAMED_AT_MOST else ""
    return f"{', '.join(names[:NAMED_AT_MOST])}{more}"
