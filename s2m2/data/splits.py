"""Which classes are base, validation and novel: by a class list, by the user's own file, or at random by fractions."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.resources import files
from itertools import combinations
from pathlib import Path

from s2m2.console import first_named
from s2m2.data.dataset import SPLITS, Split
from s2m2.errors import InputError
from s2m2.io import check_regular, expanded, parse_json
from s2m2.random import seed_for

ClassLists = Mapping[Split, Sequence[str]]
CLASS_LISTS = files("s2m2.data").joinpath("class_lists")
"""Folder of the class lists that come with the package."""
JSON_KEYS: dict[Split, tuple[str, ...]] = {"base": ("base", "train"), "validation": ("validation", "val"), "novel": ("novel", "test")}
TEXT_FILES: dict[Split, str] = {"base": "train.txt", "validation": "val.txt", "novel": "test.txt"}
DEFAULT_FRACTIONS = (0.64, 0.16, 0.2)
"""Fractions of classes for base, validation and novel: those of CIFAR-FS and mini-ImageNet."""
ROTATIONS = (0, 90, 180, 270)
"""Degrees, counter-clockwise, of the four classes that the images of one class make (Omniglot)."""
ROTATED_NAME = re.compile(rf"(.+)/rot(?:{'|'.join(f'{degrees:03d}' for degrees in ROTATIONS)})", re.DOTALL)
OF_SOURCE, BY_FRACTIONS = "of the source", "shares"
"""Origin of splits in the settings of a dataset, whose digest has these words."""


def split_classes(
    class_names: Sequence[str], splits: str | None, seed: int, source_lists: ClassLists | None = None, *, left_out: Collection[str] = ()
) -> dict[Split, tuple[int, ...]]:
    """Class numbers of each split.

    Args:
        class_names: all classes, by number.
        splits: three fractions such as `0.64,0.16,0.2`, the name of a packaged class list such as `cifar_fs`, or the path of a file or
            folder of class lists. None: the lists of the source, else the usual fractions.
        seed: of random splits.
        source_lists: class names of each split, if the source brings them.
        left_out: classes that a list may name though they are not in `class_names`.

    Raises:
        InputError: `splits` is none of these, or a class is in two splits, in none, or has no images.
    """
    if splits is None:
        if source_lists is not None:
            return split_by_lists(class_names, source_lists, "the source", left_out)
        return split_at_random(class_names, DEFAULT_FRACTIONS, seed)
    fractions = _fractions(splits)
    if fractions is not None:
        return split_at_random(class_names, fractions, seed)
    if splits in packaged_lists():
        return split_by_lists(class_names, read_packaged_list(splits), f"class list {splits}", left_out)
    path = expanded(splits)
    if not path.exists():
        lists = ", ".join(packaged_lists())
        raise InputError(f"--splits is {splits}, but must be three fractions such as 0.64,0.16,0.2, a file, a folder, or one of {lists}")
    return split_by_lists(class_names, read_split_folder(path) if path.is_dir() else read_split_file(path), str(path), left_out)


def splits_origin(splits: str | None, source_lists: ClassLists | None) -> str:
    """Origin of the splits, for the settings of a dataset; arguments as for `split_classes`.

    Of a path the last part, so that a dataset does not depend on the folder of its class lists.
    """
    return Path(splits).name if splits else BY_FRACTIONS if source_lists is None else OF_SOURCE


def split_at_random(class_names: Sequence[str], fractions: Sequence[float], seed: int) -> dict[Split, tuple[int, ...]]:
    """Random classes for each split, a function of the seed and the number of classes alone.

    The four rotations of a class count as one class and stay in one split. Counts are the fractions rounded by largest remainder, so
    that they add up.

    Raises:
        InputError: the fractions do not add up to 1, or one above 0 comes to no class at all.
    """
    if len(fractions) != len(SPLITS) or not all(0 <= fraction <= 1 for fraction in fractions) or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(f"--splits is {list(fractions)}, but must be three fractions of 0 or more that add up to 1")
    families: dict[str, list[int]] = {}
    for number, name in enumerate(class_names):
        families.setdefault(unrotated_name(name), []).append(number)
    exact = [fraction * len(families) for fraction in fractions]
    counts = [int(count + 1e-9) for count in exact]
    by_remainder = sorted(range(len(SPLITS)), key=lambda index: counts[index] - exact[index])
    for index in by_remainder[: len(families) - sum(counts)]:
        counts[index] += 1
    for split, fraction, count in zip(SPLITS, fractions, counts, strict=True):
        if fraction > 0 and count == 0:
            enough = len(families) >= len(SPLITS)
            hint = "give --splits three other fractions, such as 0.5,0.25,0.25" if enough else "there must be three classes or more"
            raise InputError(f"a fraction of {fraction} of {len(families)} classes leaves no {split} class; {hint}")
    order = sorted(range(len(families)), key=lambda number: seed_for(seed, "splits", number))
    members = list(families.values())
    splits: dict[Split, tuple[int, ...]] = {}
    for index, split in enumerate(SPLITS):
        start = sum(counts[:index])
        splits[split] = tuple(sorted(number for family in order[start : start + counts[index]] for number in members[family]))
    return splits


def split_by_lists(
    class_names: Sequence[str], lists: ClassLists, origin: str, left_out: Collection[str] = ()
) -> dict[Split, tuple[int, ...]]:
    """Class numbers for class names. Every class must be in exactly one list, and every listed class among the images.

    Args:
        class_names: all classes, by number.
        lists: class names of each split; a name also stands for its four rotations.
        origin: of the lists, for an error message.
        left_out: classes that may be listed without images.

    Raises:
        InputError: a class is listed twice, is in no list, or has no images.
    """
    names = set(class_names)
    every = names | set(left_out)
    lists = {split: [rotated for name in lists[split] for rotated in _rotations_among(name, every)] for split in SPLITS}
    lists = {split: [name for name in lists[split] if name not in left_out] for split in SPLITS}
    for split in SPLITS:
        _refuse((name for name, count in Counter(lists[split]).items() if count > 1), f"{origin} names twice as {split}")
    for one, other in combinations(SPLITS, 2):
        _refuse(set(lists[one]) & set(lists[other]), f"{origin} has both in {one} and in {other}")
    listed = {name for split in SPLITS for name in lists[split]}
    _refuse(listed - names, f"{origin} names, but without images,")
    _refuse(names - listed, f"{origin} leaves out")
    numbers = {name: number for number, name in enumerate(class_names)}
    return {split: tuple(sorted(numbers[name] for name in lists[split])) for split in SPLITS}


def packaged_lists() -> list[str]:
    """Names of the class lists that come with the package; each file states its source."""
    return sorted(item.name.removesuffix(".json") for item in CLASS_LISTS.iterdir() if item.name.endswith(".json"))


def read_packaged_list(name: str) -> dict[Split, tuple[str, ...]]:
    """A class list that comes with the package. Omniglot's classes are called `<alphabet>/<character>`."""
    content = parse_json(CLASS_LISTS.joinpath(f"{name}.json").read_text(encoding="utf-8"))
    flat = {key: _flat(value) if isinstance(value, dict) else value for key, value in content.items()}
    return _lists(flat, f"class list {name}")


def rotated_name(name: str, degrees: int) -> str:
    """The name of a class of rotated images."""
    return f"{name}/rot{degrees:03d}"


def unrotated_name(name: str) -> str:
    """The name of a class without its rotation."""
    matched = ROTATED_NAME.fullmatch(name)
    return matched[1] if matched else name


def read_split_file(path: Path) -> dict[Split, tuple[str, ...]]:
    """The class lists of a JSON file: an object with the keys base, validation (or val) and novel.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    check_regular(path)
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no JSON file of class lists: {error}") from error
    return _lists(content, str(path))


def read_split_folder(folder: Path) -> dict[Split, tuple[str, ...]]:
    """The class lists of a folder with train.txt, val.txt and test.txt, one class a line.

    Raises:
        InputError: a file is missing or no text.
    """
    lists: dict[Split, tuple[str, ...]] = {}
    for split, file in TEXT_FILES.items():
        check_regular(folder / file)
        try:
            lines = (folder / file).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read class list {folder / file}: {getattr(error, 'strerror', None) or error}") from error
        lists[split] = tuple(line.strip() for line in lines if line.strip())
    return lists


def _lists(content: object, origin: str) -> dict[Split, tuple[str, ...]]:
    lists: dict[Split, tuple[str, ...]] = {}
    for split, keys in JSON_KEYS.items():
        key = next((key for key in keys if isinstance(content, dict) and key in content), None)
        if not isinstance(content, dict) or key is None:
            raise InputError(f"{origin} has no list {' or '.join(keys)}")
        if not isinstance(content[key], list) or not all(isinstance(name, str) for name in content[key]):
            raise InputError(f"{origin}: {key} is nested or no list of names; only flat lists of class names are usable")
        lists[split] = tuple(content[key])
    return lists


def _flat(sets: Mapping[str, Mapping[str, Sequence[str]]]) -> list[str]:
    return [f"{alphabet}/{character}" for alphabets in sets.values() for alphabet in alphabets for character in alphabets[alphabet]]


def _rotations_among(name: str, class_names: Collection[str]) -> list[str]:
    rotated = [rotated_name(name, degrees) for degrees in ROTATIONS]
    return rotated if name not in class_names and rotated[0] in class_names else [name]


def _fractions(text: str) -> tuple[float, ...] | None:
    try:
        return tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        return None


def _refuse(names: Iterable[str], what: str) -> None:
    listed = sorted(set(names))
    if listed:
        raise InputError(f"{what}: {first_named(listed)}")
