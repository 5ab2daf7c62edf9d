"""Lists of images: csv files with the columns `filename` and `label`, and the JSON files of S2M2 and of Chen et al. (ICLR 2019)."""

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from s2m2.console import first_named
from s2m2.data.dataset import SPLITS, Split
from s2m2.data.decode import ImageFile, ListedImage
from s2m2.data.sources.class_folders import SPLIT_NAMES
from s2m2.data.sources.listing import FileFinder, Flaw, Listing, listing_of, natural_key
from s2m2.data.sources.pickled import whole_numbers
from s2m2.errors import InputError
from s2m2.io import check_regular

COLUMNS = ("filename", "label")
KEYS = ("label_names", "image_names", "image_labels")


@dataclass(frozen=True, kw_only=True, slots=True)
class ListEntry:
    """One image of a list."""

    file: str
    """Its path in the list."""
    label: str


def list_images(file: Path) -> Listing:
    """The images in a csv or JSON list; paths are relative to its folder, or to `images` in it.

    Raises:
        InputError: the file has another shape, names an image twice, or names no image that is there.
    """
    return _listing({str(file): read_list(file)}, {}, file.parent, file.stem)


def list_split_files(folder: Path) -> Listing | None:
    """The images of train.csv, val.csv and test.csv in a folder, or of base.json, val.json and novel.json; None: there are none.

    Raises:
        InputError: as `list_images`, or a class is in two of the files.
    """
    files = split_files(folder)
    if not files:
        return None
    entries = {split: read_list(file) for split, file in files.items()}
    labels = {split: {entry.label for entry in entries[split]} for split in entries}
    for one, other in combinations(SPLITS, 2):
        if both := sorted(labels.get(one, set()) & labels.get(other, set())):
            hint = "few-shot splits share no class; give --source one file that lists them all"
            raise InputError(f"{files[one]} and {files[other]} share classes: {first_named(both)}; {hint}")
    splits = {split: tuple(sorted(labels.get(split, ()), key=natural_key)) for split in SPLITS}
    return _listing({str(files[split]): entries[split] for split in entries}, splits, folder, folder.resolve().name)


def split_files(folder: Path) -> dict[Split, Path]:
    """The csv files of the splits in a folder, else the JSON files; two at least, or none at all.

    Raises:
        InputError: a split has two files.
    """
    for suffix in (".csv", ".json"):
        files: dict[Split, Path] = {}
        for stem, split in SPLIT_NAMES.items():
            file = folder / f"{stem}{suffix}"
            if file.is_file():
                if split in files:
                    raise InputError(f"{files[split]} and {file} are both lists of {split} images; keep one")
                files[split] = file
        if len(files) > 1:
            return files
    return {}


def read_list(file: Path) -> list[ListEntry]:
    """The images in a csv or JSON list, in its order.

    Raises:
        InputError: it cannot be read, or has another shape.
    """
    reader = {".csv": _read_csv, ".json": _read_json}.get(file.suffix.lower())
    if reader is None:
        raise InputError(f"{file} is neither a folder nor a .csv or .json list of images")
    check_regular(file)
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            entries = reader(file, lines)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot read list {file}: {getattr(error, 'strerror', None) or error}") from error
    if not entries:
        raise InputError(f"{file} lists no image")
    return entries


def _read_csv(file: Path, lines: Any) -> list[ListEntry]:
    reader = csv.reader(lines, strict=True)
    header = [name.strip() for name in next(reader, [])]
    if not set(COLUMNS) <= set(header):
        raise InputError(f"{file} begins with {','.join(header) or 'an empty line'}, not with the names of columns filename,label")
    columns = [header.index(name) for name in COLUMNS]
    entries = []
    for fields in reader:
        if not any(field.strip() for field in fields):
            continue
        values = [fields[column].strip() if column < len(fields) else "" for column in columns]
        for name, value in zip(COLUMNS, values, strict=True):
            if not value:
                raise InputError(f"{file}, line {reader.line_num}: {','.join(fields)} has no {name}")
        entries.append(ListEntry(file=values[0], label=values[1]))
    return entries


def _read_json(file: Path, lines: Any) -> list[ListEntry]:
    content = json.load(lines)
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in KEYS):
        raise InputError(f"{file} is no list of images as S2M2 writes them: an object with the lists {', '.join(KEYS)}")
    names, files = content["label_names"], content["image_names"]
    for key in KEYS[:2]:
        if not all(isinstance(value, str) and value for value in content[key]):
            raise InputError(f"{file}: {key} must hold texts only, and none of them empty")
    labels = whole_numbers(content["image_labels"], f"{file}: image_labels")
    if len(files) != len(labels):
        raise InputError(f"{file} has {len(files):,} image_names but {len(labels):,} image_labels")
    named_labels = _named_labels(file, names, labels)
    return [ListEntry(file=name, label=named_labels[label]) for name, label in zip(files, labels, strict=True)]


def _named_labels(file: Path, names: Sequence[str], labels: Sequence[int]) -> Mapping[int, str]:
    """Class name of each label: an index of `label_names`, or a rank if there are as many names as labels but larger labels."""
    used = sorted(set(labels))
    if used and not 0 <= used[0] <= used[-1] < len(names):
        if used[0] < 0 or len(used) != len(names):
            outside = [str(label) for label in used if not 0 <= label < len(names)]
            raise InputError(
                f"{file} has image_labels outside 0 to {len(names) - 1}, its {len(names):,} label_names: {first_named(outside)}"
            )
        named_labels = dict(zip(used, names, strict=True))
    else:
        named_labels = {label: names[label] for label in used}
    twice = sorted(name for name, times in Counter(named_labels.values()).items() if times > 1)
    if twice:
        raise InputError(f"{file}: label_names has the same name for different labels: {first_named(twice)}")
    return named_labels


def _listing(entries: Mapping[str, Sequence[ListEntry]], splits: Mapping[Split, Sequence[str]], root: Path, name: str) -> Listing:
    finder = FileFinder((root, root / "images"))
    classes: dict[str, list[ListedImage]] = {}
    origins: dict[Path, str] = {}
    flaws: list[Flaw] = []
    for origin, listed in entries.items():
        paths, missing = finder.find_all((entry.file for entry in listed), origin)
        flaws += missing
        for entry in sorted(listed, key=lambda entry: natural_key(entry.file)):
            images = classes.setdefault(entry.label, [])
            path = paths.get(entry.file)
            if path is None:
                continue
            if path in origins:
                raise InputError(f"{path} is listed in {origins[path]} and again in {origin}")
            origins[path] = origin
            images.append(ImageFile(path=path))
    return replace(listing_of(classes, name, root, splits=splits or None, flaws=flaws), is_selection=True)
