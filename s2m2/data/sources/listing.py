"""`Listing`, the result of every reader, and the common rules: which entries of folders are classes and images, and what is a flaw."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from s2m2.console import count, first_named, verb
from s2m2.data.dataset import Split
from s2m2.data.decode import ImageFile, ListedImage
from s2m2.errors import InputError

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
ARCHIVE_REST = "__MACOSX"
"""Folder that archives of macOS bring along."""
NaturalKey = tuple[tuple[str | tuple[int, str], ...], str]
FlawKind = Literal["empty", "folder", "link", "missing"]
"""A class without an image, an unreadable folder, a broken link, images of a list that are not there."""
LeftOut = Literal["others", "nested", "loose"]
WHY_LEFT_OUT: dict[LeftOut, tuple[str, str]] = {
    "others": ("file", "as the names are not those of images"),
    "nested": ("image", "as folders inside class folders are not entered"),
    "loose": ("image", "as what lies beside the class folders belongs to no class"),
}
"""Files that are ignored and counted: the noun and the reason."""


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """A reason to refuse a source, though its other images can be inspected."""

    kind: FlawKind
    message: str
    """One line that names the fault."""
    items: tuple[str, ...]
    """All classes, folders, links or listed names with this fault."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """Content of a folder without hidden entries; names in natural order."""

    folders: tuple[str, ...]
    images: tuple[str, ...]
    """Files with the suffix of an image."""
    others: int
    """Number of other files."""
    flaws: tuple[Flaw, ...]
    """Broken links and links in a circle."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Images on disk, none of them opened yet, class after class."""

    name: str
    """Name of the dataset."""
    root: Path
    images: tuple[ListedImage, ...]
    labels: tuple[int, ...]
    """Class number of each image, an index of `class_names`."""
    class_names: tuple[str, ...]
    splits: Mapping[Split, tuple[str, ...]] | None = None
    """Class names of each split, if the layout or the dataset brings them."""
    left_out: Mapping[LeftOut, int] = field(default_factory=dict)
    """Number of ignored files and images by reason; those above 0."""
    flaws: tuple[Flaw, ...] = ()
    """Reasons to refuse it; `images` has none of their items."""
    dataset: str | None = None
    """Its entry of `DATASETS`, None for own images."""


def natural_key(text: str) -> NaturalKey:
    """Key that sorts numbers inside names by value: class2 before class10. Different names never compare equal."""
    parts = re.split(r"(\d+)", text)
    # By length and then digit by digit, as Python refuses to make a number of thousands of digits.
    digits = [part.lstrip("0") for part in parts]
    return tuple((len(digits[index]), digits[index]) if index % 2 else part for index, part in enumerate(parts)), text


def is_image_name(file: str) -> bool:
    """Whether the name of a file is that of an image; hidden files are none."""
    return not file.startswith(".") and Path(file).suffix.lower() in IMAGE_SUFFIXES


def scan(folder: Path) -> Content:
    """The content of a folder; links are followed.

    Raises:
        InputError: the folder cannot be read.
    """
    folders, files, flaws = [], [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == ARCHIVE_REST:
                    continue
                if entry.is_symlink() and (flaw := _broken_link(entry.path)):
                    flaws.append(flaw)  # Otherwise an image behind it would be missing silently.
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
    """The content of a folder of class folders.

    Raises:
        InputError: there is no such folder, it cannot be read, or no folder is in it.
    """
    if not root.is_dir():
        raise InputError(f"no such folder {root}")
    content = scan(root)
    if not content.folders:
        none = f"{root} has no class folders; the images of each class go into a folder with its name"
        raise InputError(content.flaws[0].message if content.flaws else none)
    return content


def left_out_text(reason: LeftOut, number: int) -> str:
    """A sentence about ignored files or images."""
    noun, why = WHY_LEFT_OUT[reason]
    return f"{count(number, noun)} {verb(number)} left out, {why}"


def listing_of(
    classes: Mapping[str, Sequence[ListedImage]],
    name: str,
    root: Path,
    *,
    splits: Mapping[Split, Sequence[str]] | None = None,
    left_out: Mapping[LeftOut, int] | None = None,
    flaws: Sequence[Flaw] = (),
    dataset: str | None = None,
) -> Listing:
    """A listing of the images of each class, classes in natural order. A class without an image is a flaw, in `flaws` or not.

    Raises:
        InputError: there is no class, or no image at all.
    """
    if not classes:
        raise InputError(f"{root} has no classes")
    names = sorted(classes, key=natural_key)
    reported = {item for flaw in flaws if flaw.kind == "empty" for item in flaw.items}
    empty = [class_name for class_name in names if not classes[class_name] and class_name not in reported]
    flaws = (*flaws, *(_empty_class(class_name, root) for class_name in empty))
    if not any(classes.values()):
        raise InputError(flaws[0].message)
    return Listing(
        name=name,
        root=root,
        images=tuple(image for class_name in names for image in classes[class_name]),
        labels=tuple(label for label, class_name in enumerate(names) for _ in classes[class_name]),
        class_names=tuple(names),
        splits=None if splits is None else {split: tuple(splits[split]) for split in splits},
        left_out={reason: number for reason, number in (left_out or {}).items() if number},
        flaws=flaws,
        dataset=dataset,
    )


def list_class_folders(folders: Mapping[str, Path], name: str, root: Path, *, above: Sequence[Content] = ()) -> Listing:
    """List the images in the folder of each class, files in natural order.

    Hidden files are ignored silently; other files, and images in folders inside a class folder, are ignored and counted. Empty classes
    and anything unreadable are flaws.

    Args:
        above: the folders of the class folders, whose own images and flaws count.

    Raises:
        InputError: there is no class, or no image at all.
    """
    classes: dict[str, list[ListedImage]] = {}
    left_out: Counter[LeftOut] = Counter({"loose": sum(len(content.images) for content in above)})
    flaws = [flaw for content in above for flaw in content.flaws]
    for class_name, folder in folders.items():
        classes[class_name] = []
        try:
            content = scan(folder)
        except InputError as error:
            flaws += [Flaw(kind="folder", message=str(error), items=(str(folder),)), _empty_class(class_name, folder)]
            continue
        classes[class_name] += [ImageFile(path=folder / file) for file in content.images]
        nested = _count_nested(folder, content.folders)
        left_out.update({"others": content.others, "nested": nested})
        flaws += content.flaws
        if not content.images:
            flaws.append(_empty_class(class_name, folder, nested))
    return listing_of(classes, name, root, left_out=left_out, flaws=flaws)


class FileFinder:
    """Finds listed files in several folders. Each folder is scanned once, which is faster than asking for each file."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._names: dict[tuple[Path, str], frozenset[str]] = {}

    def find(self, name: str) -> Path | None:
        """The file of this name, relative to one of the folders; None: it is in none of them.

        Raises:
            InputError: files in two of the folders have this name.
        """
        paths = list(dict.fromkeys(path for folder in self._folders if (path := self._find_in(folder, name)) is not None))
        if len(paths) > 1:
            raise InputError(f"{name} is ambiguous: there are {paths[0]} and {paths[1]}")
        return paths[0] if paths else None

    def find_all(self, names: Iterable[str], origin: str) -> tuple[dict[str, Path], list[Flaw]]:
        """The files of these names; missing ones are a flaw.

        Args:
            names: as in a list.
            origin: the list, for an error message.

        Raises:
            InputError: a name is listed twice, or files in two of the folders have one name.
        """
        paths: dict[str, Path] = {}
        missing: list[str] = []
        twice: list[str] = []
        for name in names:
            if name in paths:
                twice.append(name)
            elif (path := self.find(name)) is None:
                missing.append(name)
            else:
                paths[name] = path
        if twice:
            raise InputError(f"{origin} names {len(twice):,} images more than once: {first_named(twice)}")
        return paths, missing_flaws(missing, f"{origin} names")

    def _find_in(self, folder: Path, name: str) -> Path | None:
        # Accents are one character in file names of some systems and two in others, whatever the list has.
        forms = (name,) if name.isascii() else (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))
        for form in forms:
            inside, _, last = form.rpartition("/")
            if last in self._files(folder, inside if inside or not form.startswith("/") else "/"):
                return folder / form
        return None

    def _files(self, folder: Path, inside: str) -> frozenset[str]:
        if (folder, inside) not in self._names:
            try:
                with os.scandir(folder / inside) as entries:
                    self._names[folder, inside] = frozenset(entry.name for entry in entries)
            except (OSError, ValueError):  # No file can have a name with a zero byte.
                self._names[folder, inside] = frozenset()
        return self._names[folder, inside]


def missing_flaws(missing: Sequence[str], what: str) -> list[Flaw]:
    """A flaw if images are missing; `what` begins the sentence: `train.csv names`."""
    message = f"{what} {len(missing):,} images that are not there: {first_named(missing)}"
    return [Flaw(kind="missing", message=message, items=tuple(missing))] if missing else []


def _count_nested(folder: Path, inside: Iterable[str]) -> int:
    """Images in folders of a class folder, however deep; links are not followed there."""
    deeper = (step for name in inside if not (folder / name).is_symlink() for step in os.walk(folder / name))
    return sum(is_image_name(file) for _, _, files in deeper for file in files)


def _empty_class(class_name: str, folder: Path, nested: int = 0) -> Flaw:
    hint = f"; the {nested:,} in folders inside it are not read" if nested else ""
    return Flaw(kind="empty", message=f"class {class_name} has no image in {folder}{hint}", items=(class_name,))


def _broken_link(link: str) -> Flaw | None:
    try:
        Path(link).stat()
    except OSError as error:
        return Flaw(kind="link", message=f"cannot read {link}: {error.strerror or error}", items=(link,))
    return None
