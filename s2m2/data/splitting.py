"""Which classes are base, validation and novel: by a class list, by the user's own file, or by shares drawn from a seed."""

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from itertools import combinations
from pathlib import Path

from s2m2.data.table import SPLITS, Split
from s2m2.errors import InputError
from s2m2.seeding import seed_for

ClassLists = Mapping[Split, Sequence[str]]
JSON_KEYS: dict[Split, tuple[str, ...]] = {"base": ("base", "train"), "validation": ("validation", "val"), "novel": ("novel", "test")}
TEXT_FILES: dict[Split, str] = {"base": "train.txt", "validation": "val.txt", "novel": "test.txt"}
DEFAULT_SHARES = (0.64, 0.16, 0.2)
"""Shares of classes for base, validation and novel: those of CIFAR-FS and mini-ImageNet."""
NAMED_AT_MOST = 5
"""Classes that an error message names before it counts the rest."""


def split_classes(class_names: Sequence[str], splits: str | None, seed: int, own: ClassLists | None = None) -> dict[Split, tuple[int, ...]]:
    """Class numbers of each split.

    Args:
        class_names: all classes, by number.
        splits: three shares such as `0.64,0.16,0.2`, the name of a packaged class list such as `cifar_fs`, or the path of a file or
            folder of class lists. None: the source's own, else the usual shares.
        seed: of the draw of shares.
        own: class names of each split, where the source brings them.

    Raises:
        InputError: the text is none of these, a class is in two splits, in none, or not among the pictures.
    """
    if splits is None:
        return split_by_lists(class_names, own, "the source") if own is not None else split_by_shares(class_names, DEFAULT_SHARES, seed)
    shares = _shares(splits)
    if shares is not None:
        return split_by_shares(class_names, shares, seed)
    if splits in packaged_lists():
        return split_by_lists(class_names, read_packaged_list(splits), f"class list {splits}")
    path = Path(splits).expanduser()
    if not path.exists():
        known = ", ".join(packaged_lists())
        raise InputError(f"--splits is {splits}, but must be three shares such as 0.64,0.16,0.2, a file, a folder, or one of {known}")
    return split_by_lists(class_names, read_split_folder(path) if path.is_dir() else read_split_file(path), str(path))


def split_by_shares(class_names: Sequence[str], shares: Sequence[float], seed: int) -> dict[Split, tuple[int, ...]]:
    """Draw the classes of each split. The draw depends on the seed and the number of classes alone.

    Counts are the shares rounded by largest remainder, so that they add up.

    Raises:
        InputError: the shares do not add up to 1, or one above 0 comes to no class at all.
    """
    if len(shares) != len(SPLITS) or not all(0 <= share <= 1 for share in shares) or abs(sum(shares) - 1) > 1e-6:
        raise InputError(f"--splits is {list(shares)}, but must be three shares of 0 or more that add up to 1")
    exact = [share * len(class_names) for share in shares]
    counts = [int(share + 1e-9) for share in exact]
    by_remainder = sorted(range(len(SPLITS)), key=lambda place: counts[place] - exact[place])
    for place in by_remainder[: len(class_names) - sum(counts)]:
        counts[place] += 1
    for split, share, count in zip(SPLITS, shares, counts, strict=True):
        if share > 0 and count == 0:
            hint = "give --splits three other shares, such as 0.5,0.25,0.25"
            raise InputError(f"a share of {share} of {len(class_names)} classes leaves no {split} class; {hint}")
    order = sorted(range(len(class_names)), key=lambda number: seed_for(seed, "splits", number))
    starts = [sum(counts[:place]) for place in range(len(SPLITS))]
    return {split: tuple(sorted(order[start : start + count])) for split, start, count in zip(SPLITS, starts, counts, strict=True)}


def split_by_lists(class_names: Sequence[str], lists: ClassLists, origin: str) -> dict[Split, tuple[int, ...]]:
    """Class numbers for class names. Every class must be in exactly one list, and every listed class among the pictures.

    Args:
        class_names: all classes, by number.
        lists: class names of each split.
        origin: what to call the lists in an error message.

    Raises:
        InputError: a class is listed twice, is in no list, or has no pictures.
    """
    for split in SPLITS:
        _refuse((name for place, name in enumerate(lists[split]) if name in lists[split][:place]), f"{origin} names twice as {split}")
    for one, other in combinations(SPLITS, 2):
        _refuse(set(lists[one]) & set(lists[other]), f"{origin} has both in {one} and in {other}")
    listed = {name for split in SPLITS for name in lists[split]}
    _refuse(listed - set(class_names), f"{origin} names, but without pictures,")
    _refuse(set(class_names) - listed, f"{origin} leaves out")
    numbers = {name: number for number, name in enumerate(class_names)}
    return {split: tuple(sorted(numbers[name] for name in lists[split])) for split in SPLITS}


def packaged_lists() -> list[str]:
    """Names of the class lists that come with the package; each file states its source."""
    return sorted(
        item.name.removesuffix(".json") for item in files("s2m2.data").joinpath("splits").iterdir() if item.name.endswith(".json")
    )


def read_packaged_list(name: str) -> dict[Split, tuple[str, ...]]:
    """A class list that comes with the package.

    Raises:
        InputError: it is nested, as Omniglot's list of alphabets is.
    """
    text = files("s2m2.data").joinpath("splits", f"{name}.json").read_text(encoding="utf-8")
    return _lists(json.loads(text), f"class list {name}")


def read_split_file(path: Path) -> dict[Split, tuple[str, ...]]:
    """The class lists of a JSON file: an object with the keys base, validation (or val) and novel.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
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


def _shares(text: str) -> tuple[float, ...] | None:
    try:
        return tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        return None


def _refuse(names: Iterable[str], what: str) -> None:
    listed = sorted(set(names))
    if listed:
        more = f" and {len(listed) - NAMED_AT_MOST} more" if len(listed) > NAMED_AT_MOST else ""
        raise InputError(f"{what}: {', '.join(listed[:NAMED_AT_MOST])}{more}")
