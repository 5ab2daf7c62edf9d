"""`Listing`: what every reader of pictures on disk returns, and the rules by which all of them find classes and files."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from s2m2.data.picture import Picture, PictureFile
from s2m2.data.table import Split
from s2m2.errors import InputError

PICTURE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


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
    """Class names of each split, where the layout brings them."""
    ignored: int = 0
    """Files left out because their names are not those of pictures."""


def natural_key(text: str) -> tuple[tuple[str | int, ...], str]:
    """Key that sorts numbers inside names by value: class2 before class10. Names that differ never compare equal."""
    parts = re.split(r"(\d+)", text)
    return tuple(int(part) if place % 2 else part for place, part in enumerate(parts)), text


def list_class_folders(root: Path, class_names: Sequence[str], name: str) -> Listing:
    """List the pictures of the named class folders, in the order given; files in natural order.

    Hidden files are passed over in silence, files that are no pictures are counted, folders inside a class folder are not entered.

    Raises:
        InputError: a class has no picture.
    """
    found: list[Picture] = []
    labels: list[int] = []
    ignored = 0
    for label, class_name in enumerate(class_names):
        files = visible(entry for entry in os.scandir(root / class_name) if entry.is_file())
        pictures = [file for file in files if Path(file).suffix.lower() in PICTURE_SUFFIXES]
        if not pictures:
            raise InputError(f"class {class_name} has no picture in {root / class_name}")
        ignored += len(files) - len(pictures)
        found += [PictureFile(path=root / class_name / file) for file in pictures]
        labels += [label] * len(pictures)
    return Listing(name=name, root=root, pictures=tuple(found), labels=tuple(labels), class_names=tuple(class_names), ignored=ignored)


def class_folder_names(root: Path) -> list[str]:
    """Names of the folders inside `root`, hidden ones left out, in natural order.

    Raises:
        InputError: there is no folder `root`, or no folder in it.
    """
    if not root.is_dir():
        raise InputError(f"no such folder {root}")
    names = visible(entry for entry in os.scandir(root) if entry.is_dir())
    if not names:
        raise InputError(f"{root} has no class folders")
    return names


def visible(entries: Iterable[os.DirEntry[str]]) -> list[str]:
    """Names of the entries that are not hidden, in natural order."""
    return sorted((entry.name for entry in entries if not entry.name.startswith(".")), key=natural_key)
