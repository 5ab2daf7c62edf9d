"""`Listing`, the result of every reader, and the common rules: which entries of folders are classes and images, and what is a flaw."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal

from PIL import Image

from s2m2.console import count, first_named, verb
from s2m2.data.dataset import Split
from s2m2.data.decode import FORMATS, HEIF_SUFFIXES, JPEG_KINDS, ImageFile, ListedImage
from s2m2.errors import InputError

ARCHIVE_REST = "__MACOSX"
"""Folder that archives of macOS bring along."""
NaturalKey = tuple[tuple[str | tuple[int, str], ...], str]
FlawKind = Literal["empty", "folder", "link", "missing"]
"""A class without an image, an unreadable folder, a broken link, images of a list that are not there."""
LeftOut = Literal["others", "nested", "loose", "untaken"]
WHY_LEFT_OUT: dict[LeftOut, tuple[str, str]] = {
    "others": ("file", "as the names are not those of images"),
    "nested": ("image", "as folders inside class folders are not entered"),
    "loose": ("image", "as what lies beside the class folders belongs to no class"),
    "untaken": ("image", "as neither a list nor the layout of the dataset has it"),
}
"""Files that are ignored and counted: the noun and the reason."""
MAX_ENDINGS = 5
"""Endings of files that a sentence names, at most."""


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

    folder: Path
    folders: tuple[str, ...]
    images: tuple[str, ...]
    """Files with the suffix of an image."""
    others: tuple[str, ...]
    """Other files."""
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
    left_out: Mapping[LeftOut, tuple[str, ...]] = field(default_factory=dict)
    """Paths of ignored files and images by reason, where there are any."""
    is_selection: bool = False
    """Whether lists choose from the files of the source, so that there may be others."""
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
    return not file.startswith(".") and ending(file) in image_suffixes()


@cache
def image_suffixes() -> frozenset[str]:
    """Endings of the formats that are read, as Pillow has them, and those of phones."""
    formats = {*FORMATS, *JPEG_KINDS}
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in formats) | HEIF_SUFFIXES


def ending(file: str) -> str:
    """The ending of a file's name, in small letters; empty if it has none."""
    return os.path.splitext(file)[1].lower()  # noqa: PTH122 (of many names, and a Path takes its time)


def scan(folder: Path) -> Content:
    """The content of a folder; links are followed.

    Raises:
        InputError: the folder cannot be read.
    """
    folders, files, special, flaws = [], [], [], []
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
                else:
                    special.append(entry.name)
    except OSError as error:
        raise InputError(f"cannot read {error.filename or folder}: {error.strerror or error}") from error
    images = [file for file in files if is_image_name(file)]
    return Content(
        folder=folder,
        folders=tuple(sorted(folders, key=natural_key)),
        images=tuple(sorted(images, key=natural_key)),
        others=tuple(sorted({*files, *special}.difference(images), key=natural_key)),
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


def left_out_text(reason: LeftOut, files: Sequence[str]) -> str:
    """A sentence about ignored files or images; of files that are no images with their endings."""
    noun, why = WHY_LEFT_OUT[reason]
    sentence = f"{count(len(files), noun)} {verb(len(files))} left out, {why}"
    if reason != "others":
        return sentence
    endings = Counter(ending(file) or "without an ending" for file in files).most_common()
    more = f" and {len(endings) - MAX_ENDINGS} other endings" if len(endings) > MAX_ENDINGS else ""
    return f"{sentence}: {', '.join(f'{number:,} {suffix}' for suffix, number in endings[:MAX_ENDINGS])}{more}"


def with_untaken(listing: Listing, source: Path, only: Collection[str] | None = None) -> Listing:
    """The listing with the images of a source that nothing took, for whatever reason, in `left_out`.

    Args:
        only: names of folders whose images count; None: all.
    """
    taken = {os.path.normpath(image.path) for image in listing.images if isinstance(image, ImageFile)}
    if not taken or listing.is_selection or not source.is_dir():
        return listing
    taken.update(os.path.normpath(file) for files in listing.left_out.values() for file in files)
    taken.update(os.path.normpath(item) for flaw in listing.flaws if flaw.kind == "link" for item in flaw.items)
    found: list[str] = []
    for folder, folders, files in os.walk(source):
        folders[:] = [name for name in folders if not name.startswith(".") and name != ARCHIVE_REST]
        if only is None or os.path.basename(folder) in only:  # noqa: PTH119 (as above)
            found += [path for file in files if is_image_name(file) and (path := os.path.normpath(f"{folder}/{file}")) not in taken]
    return replace(listing, left_out={**listing.left_out, "untaken": tuple(sorted(found, key=natural_key))}) if found else listing


def listing_of(
    classes: Mapping[str, Sequence[ListedImage]],
    name: str,
    root: Path,
    *,
    splits: Mapping[Split, Sequence[str]] | None = None,
    left_out: Mapping[LeftOut, Sequence[str]] | None = None,
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
        left_out={reason: tuple(files) for reason, files in (left_out or {}).items() if files},
        flaws=flaws,
        dataset=dataset,
    )


def without_small(listing: Listing, least: int) -> tuple[Listing, tuple[str, ...]]:
    """The listing without classes of fewer than `least` images, and the names of these; classes without any are no flaw then.

    Raises:
        InputError: no class is left.
    """
    classes: dict[str, list[ListedImage]] = {name: [] for name in listing.class_names}
    for image, label in zip(listing.images, listing.labels, strict=True):
        classes[listing.class_names[label]].append(image)
    small = {name for name, images in classes.items() if len(images) < least}
    if small == set(classes):
        raise InputError(f"--min_images is {least}, but the largest class has {max(map(len, classes.values())):,} images")
    kept = listing_of(
        {name: images for name, images in classes.items() if name not in small},
        listing.name,
        listing.root,
        splits=listing.splits,
        left_out=listing.left_out,
        flaws=[flaw for flaw in listing.flaws if flaw.kind != "empty"],
        dataset=listing.dataset,
    )
    return kept, tuple(name for name in listing.class_names if name in small)


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
    left_out: dict[LeftOut, list[str]] = {"others": [], "nested": [], "loose": []}
    left_out["loose"] += [str(content.folder / file) for content in above for file in content.images]
    flaws = [flaw for content in above for flaw in content.flaws]
    for class_name, folder in folders.items():
        classes[class_name] = []
        try:
            content = scan(folder)
        except InputError as error:
            flaws += [Flaw(kind="folder", message=str(error), items=(str(folder),)), _empty_class(class_name, folder)]
            continue
        classes[class_name] += [ImageFile(path=folder / file) for file in content.images]
        nested = _nested(folder, content.folders)
        left_out["nested"] += nested
        left_out["others"] += [str(folder / file) for file in content.others]
        flaws += content.flaws
        if not content.images:
            flaws.append(_empty_class(class_name, folder, len(nested)))
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


def _nested(folder: Path, inside: Iterable[str]) -> list[str]:
    """Images in folders of a class folder, however deep; links are not followed there."""
    deeper = (step for name in inside if not (folder / name).is_symlink() for step in os.walk(folder / name))
    return [f"{below}/{file}" for below, _, files in deeper for file in sorted(files, key=natural_key) if is_image_name(file)]


def _empty_class(class_name: str, folder: Path, nested: int = 0) -> Flaw:
    hint = f"; the {nested:,} in folders inside it are not read" if nested else ""
    return Flaw(kind="empty", message=f"class {class_name} has no image in {folder}{hint}", items=(class_name,))


def _broken_link(link: str) -> Flaw | None:
    try:
        Path(link).stat()
    except OSError as error:
        return Flaw(kind="link", message=f"cannot read {link}: {error.strerror or error}", items=(link,))
    return None
