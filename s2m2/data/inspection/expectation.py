"""What a well-known dataset consists of, compared with what was found."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from s2m2.data.dataset import SPLITS, Split
from s2m2.data.datasets import DATASETS
from s2m2.data.inspection.findings import Finding
from s2m2.data.splitting import OF_SOURCE, ROTATIONS
from s2m2.data.wording import count
from s2m2.errors import InputError

ALL = "all"
"""Name of everything, beside the names of the splits."""


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Classes and images that a dataset should have."""

    dataset: str
    """As papers write it."""
    classes: Mapping[str, int]
    """By split, and of everything; of everything alone where the splits are others."""
    images: Mapping[str, int]
    """As the classes."""


def expectation_of(dataset: str, found: str | None, *, splits: str, rotated: bool) -> Expectation | None:
    """What is known of a dataset; None where nothing is.

    Args:
        dataset: its name; or `auto`: the one that was found; or `own`: nothing is known.
        found: the one that the images were recognized as, or that the dataset was made of; None: own images.
        splits: which splits they have, in the words of a dataset's settings.
        rotated: whether classes were turned by quarters.

    Raises:
        InputError: there is no dataset of that name.
    """
    if dataset not in ("auto", "own", *DATASETS):
        raise InputError(f"--dataset is {dataset}, but must be auto, own or one of {', '.join(DATASETS)}")
    known = DATASETS.get((found or "own") if dataset == "auto" else dataset)
    if known is None:
        return None
    turns = len(ROTATIONS) if rotated else 1
    parts: list[dict[str, int]] = []
    for numbers in (known.classes, known.images):
        part = {ALL: turns * sum(numbers.values())}
        if splits in (OF_SOURCE, known.class_list):
            part |= {split: turns * number for split, number in numbers.items()}
        parts.append(part)
    return Expectation(dataset=known.title, classes=parts[0], images=parts[1])


def compare_counts(
    expected: Expectation,
    labels: Int64[np.ndarray, " image"],
    class_names: tuple[str, ...],
    splits: Mapping[Split, tuple[int, ...]],
) -> Iterator[Finding]:
    """Every split, and everything, that has other numbers of classes or images than it should."""
    found = np.bincount(labels, minlength=len(class_names))
    parts: dict[str, tuple[int, ...]] = {split: splits.get(split, ()) for split in SPLITS}
    items = []
    for part, numbers in (parts | {ALL: tuple(range(len(class_names)))}).items():
        for what, number, right in (
            (("class", "classes"), len(numbers), expected.classes.get(part)),
            (("image", "images"), int(found[list(numbers)].sum()), expected.images.get(part)),
        ):
            if right is not None and number != right:
                difference = f"{abs(number - right):,} {'too many' if number > right else 'missing'}"
                items.append(f"{part}: {count(number, *what)}, but {right:,} expected, {difference}")
    if items:
        yield Finding(severity="finding", title=f"counts differ from those of {expected.dataset}", items=tuple(items))
