"""What lies in a folder: class folders, images, and what is wrong with it."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from s2m2.errors import InputError

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
NaturalKey = tuple[tuple[str | tuple[int, str], ...], str]
FlawKind = Literal["empty", "folder", "link", "missing"]
"""A class without an image, a folder that cannot be read, a link that cannot be followed, images that a list names in vain."""


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """Something for which a source is refused, though its other images can be looked at."""

    kind: FlawKind
    message: str
    """One line that names what is wrong."""
    items: tuple[str, ...]
    """Classes, folders, links or listed names that are meant, all of them."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What lies in a folder, hidden entries left out; names in natural order."""

    folders: tuple[str, ...]
    images: tuple[str, ...]
    """Files whose names are those of images."""
    others: int
    """Other files."""
    flaws: tuple[Flaw, ...]
    """Links that lead nowhere or round in a circle."""


def natural_key(text: str) -> NaturalKey:
    """Key that sorts numbers inside names by value: class2 before class10. Names that differ never compare equal."""
    parts = re.split(r"(\d+)", text)
    # By length and then digit by digit, as Python refuses to make a number of thousands of digits.
    digits = [part.lstrip("0") for part in parts]
    return tuple((len(digits[place]), digits[place]) if place % 2 else part for place, part in enumerate(parts)), text


def scan(folder: Path) -> Content:
    """Look into a folder; links are followed.

    Raises:
        InputError: the folder cannot be read.
    """
    folders, files, flaws = [], [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink() and (flaw := _broken(entry.path)):
                    flaws.append(flaw)  # Otherwise an image behind it would be missing in silence.
                elif entry.is_dir():
                    folders.append(entry.name)
                elif entry.is_file():
                    files.append(entry.name)
    except OSError as error:
        raise InputError(f"cannot read {error.filename or folder}: {error.strerror or error}") from error
    images = [file for file in files if is_image_name(file)]
    return Content(
        folders=tuple(sorted(folders, key=natural_key)),
        images=tuple(sorted(images, key=natural_key)),
        others=len(files) - len(images),
        flaws=tuple(sorted(flaws, key=lambda flaw: natural_key(flaw.items[0]))),
    )


def scan_classes(root: Path) -> Content:
    """Look into a folder that should have class folders in it.

    Raises:
        InputError: there is no such folder, it cannot be read, or no folder is in it.
    """
    if not root.is_dir():
        raise InputError(f"no such folder {root}")
    content = scan(root)
    if not content.folders:
        raise InputError(content.flaws[0].message if content.flaws else f"{root} has no class folders")
    return content


def count_nested(folder: Path, inside: Iterable[str]) -> int:
    """Images in folders of a class folder, however deep, which are not read; links are not followed there."""
    deeper = (step for name in inside if not (folder / name).is_symlink() for step in os.walk(folder / name))
    return sum(is_image_name(file) for _, _, files in deeper for file in files)


def is_image_name(file: str) -> bool:
    """Whether a file is taken for an image, which its name decides; hidden files are not."""
    return not file.startswith(".") and Path(file).suffix.lower() in IMAGE_SUFFIXES


def _broken(link: str) -> Flaw | None:
    try:
        Path(link).stat()
    except OSError as error:
        return Flaw(kind="link", message=f"cannot read {link}: {error.strerror or error}", items=(link,))
    return None
