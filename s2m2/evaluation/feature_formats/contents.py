"""What a feature file holds, before any of it is in memory: names, shapes and types; and which arrays are the features and the labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from s2m2.archives import stands_for_too_much
from s2m2.console import first_named
from s2m2.errors import InputError

FEATURES = ("features", "all_feats", "feats", "feat", "feature", "embeddings", "embedding", "vectors", "x")
"""Names of an array of features, in any case; the first one that a file has counts."""
LABELS = ("labels", "all_labels", "label", "targets", "target", "y", "class", "classes")
"""Names of an array of labels."""
CLASS_NAMES = ("class_names", "label_names")
PADDED, COUNT = "all_feats", "count"
"""The authors' files pad this array; the second one counts its true rows."""


@dataclass(frozen=True, kw_only=True)
class StoredArray:
    """An array of a file, not loaded yet."""

    shape: tuple[int, ...]
    type: str
    """Type of its elements, for messages."""
    kind: str
    """f, i or u: real numbers; U: text; O: anything that is not read."""
    load: Callable[[], Any]
    advice: str = ""
    """What to do about an array that is not read."""

    @property
    def is_real(self) -> bool:
        """Whether it holds real numbers."""
        return self.kind in ("f", "i", "u")

    @property
    def rows(self) -> int:
        """Length of its first axis."""
        return self.shape[0] if self.shape else 0

    def __str__(self) -> str:
        return f"{' x '.join(map(str, self.shape)) or 'one'} {self.type}"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All arrays of a file by name."""

    arrays: Mapping[str, StoredArray]
    features: str | None = None
    """Name of the features where the format says it."""
    labels: str | None = None
    """Name of the labels where the format says it."""
    others: Sequence[str] = field(default=())
    """What else it holds, in words."""

    def __str__(self) -> str:
        parts = [f"{name} ({array})" for name, array in self.arrays.items()]
        return first_named([*parts, *self.others]) or "nothing"


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The arrays that are read, loaded."""

    features: Any
    labels: Any
    class_names: Any


def check_declared(path: Path, size: int) -> None:
    """Raise `InputError` if a file states to hold far more bytes than it has, before they are allocated."""
    own = path.stat().st_size
    if stands_for_too_much(size, own):
        raise InputError(f"is refused: its arrays are {_bytes(size)}, but the file itself is {_bytes(own)}")


def choose(contents: Contents, *, with_labels: bool = True) -> Chosen:
    """Load the features and labels of a file: by name, else the only arrays of such a shape.

    Raises:
        InputError: there is none or more than one of a kind. The message states the fault after "has", without the file.
    """
    features = _features(contents)
    if not with_labels:
        return Chosen(features=_load(contents, features), labels=None, class_names=None)
    labels = _labels(contents, features)
    rows = _count(contents, features, labels) if _tail(features) == PADDED else None
    class_names = next((_load(contents, name) for name in _class_names(contents)), None)
    return Chosen(features=_load(contents, features)[:rows], labels=_load(contents, labels)[:rows], class_names=class_names)


def can_choose(contents: Contents) -> bool:
    """Whether features and labels can be told."""
    try:
        _labels(contents, _features(contents))
    except InputError:
        return False
    return True


def _class_names(contents: Contents) -> list[str]:
    return [name for name in contents.arrays if _tail(name) in CLASS_NAMES]


def _features(contents: Contents) -> str:
    if contents.features is not None:
        return contents.features
    named = _named(contents, FEATURES)
    fitting = [name for name, array in contents.arrays.items() if array.is_real and len(array.shape) == 2 and array.shape[1] > 1]
    return _only(named or fitting, "features", f"real numbers, image x dim, named {_choices(FEATURES)} or alone in this shape")


def _labels(contents: Contents, features: str) -> str:
    if contents.labels is not None:
        return contents.labels
    taken = {features, *_class_names(contents)}
    rows = contents.arrays[features].rows
    named = [name for name in _named(contents, LABELS) if name not in taken]
    fitting = [
        name
        for name, array in contents.arrays.items()
        if name not in taken and array.shape in ((rows,), (rows, 1)) and array.kind in ("i", "u", "U")
    ]
    return _only(named or fitting, "labels", f"whole numbers or text, one an image, named {_choices(LABELS)} or alone in this shape")


def _named(contents: Contents, names: Sequence[str]) -> list[str]:
    """All arrays under the first of some names that the file has."""
    for wanted in names:
        if hits := [name for name in contents.arrays if _tail(name) == wanted]:
            return hits
    return []


def _only(names: Sequence[str], what: str, form: str) -> str:
    if not names:
        raise InputError(f"has no {what}: {form}")
    if len(names) > 1:
        raise InputError(f"has {first_named(names)}, and none of them is the {what} alone: {form}")
    return names[0]


def _choices(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _load(contents: Contents, name: str) -> Any:
    array = contents.arrays[name]
    if array.kind == "O":
        raise InputError(f"has {name} of type {array.type}{array.advice}")
    return array.load()


def _count(contents: Contents, features: str, labels: str) -> int:
    """Rows of an array that is padded."""
    name = next((name for name in contents.arrays if _tail(name) == COUNT), None)
    value = np.ravel(_load(contents, name)) if name is not None else np.empty(0)
    if value.size != 1 or value.dtype.kind not in "iu":
        raise InputError(f"has no {COUNT}, the true rows of {PADDED}, as released feature files have")
    rows, most = int(value[0]), min(contents.arrays[features].rows, contents.arrays[labels].rows)
    if not 0 < rows <= most:
        raise InputError(f"states a count of {rows:,}, but has {most:,} rows of features and labels")
    return rows


def _tail(name: str) -> str:
    return name.rpartition("/")[2].lower()


def _bytes(size: int) -> str:
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size} bytes"
