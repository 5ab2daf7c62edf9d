"""What to look at among the labeled images: classes that are confused, classes that need images, likely wrong labels, near-duplicates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from s2m2.recognition.estimate import LeftOutAnswers

MIN_OTHER = 0.5
"""Probability that another class needs at least for a label to be doubted."""
MAX_GIVEN = 0.05
"""Probability of the given label at most, as a fraction of that of the other class. With both, about two thirds of wrong labels were found,
and 56 % to 83 % of the labels found were wrong, on 5 to 20 species of CUB with 5 images each and every twentieth label wrong
(`benchmarks/left_out.py`)."""
MIN_IMAGES = 3
"""Left out images of a class from which their labels are doubted: of two, either may be the wrong one."""
NEAR_GAP = 0.05
"""One less cosine of features below which two images may be near-duplicates. Measured with the embedded backbone: of pairs of different
images of a class, 2 of 50,706 of CUB (one burst of photos each) and none of 15,600 of CIFAR-100 are as near, of different classes none;
93 % and 88 % of copies cropped by 5 %, 95 % and 88 % of mirror images, and 99 % and 92 % of brightened ones are."""
GAP_FRACTION = 1 / 12
"""And below this fraction of the median over all pairs: drawings, and features of other backbones, may all be similar. Of pairs of one
character of Omniglot 37 of 3,800 have a cosine of 0.95, and 3 are as near as this."""
CHUNK = 1024
"""Images whose cosines with all others are computed at once."""


@dataclass(frozen=True, kw_only=True)
class ConfusedPair:
    """Two classes of which left out images were named as the other."""

    classes: tuple[int, int]
    """Positions in `classes_`; the first has more images that were named as the other."""
    counts: tuple[int, int]
    """Images of the first named as the second, and the reverse."""
    checked: tuple[int, int]
    """Left out images of each."""
    examples: tuple[int | None, int | None]
    """Of each direction the item that was named wrongly with the highest probability."""

    @property
    def mistakes(self) -> int:
        """In both directions."""
        return sum(self.counts)


@dataclass(frozen=True, kw_only=True)
class ClassRecord:
    """A class and how its labeled images fared when left out."""

    way: int
    """Position in `classes_`."""
    images: int
    checked: int
    """Images that were left out; 0 where the class has a single one."""
    right: int

    @property
    def need(self) -> float:
        """Low where images are needed: (right + 1) / (checked + 2), Laplace's estimate of its accuracy."""
        return (self.right + 1) / (self.checked + 2)


@dataclass(frozen=True, kw_only=True)
class Mislabeled:
    """An image whose label is improbable and that looks like one of another class."""

    item: int
    given: int
    other: int
    """Positions in `classes_`."""
    given_probability: float
    other_probability: float
    nearest: int
    """The most similar labeled item of the other class."""


@dataclass(frozen=True, kw_only=True)
class NearDuplicate:
    """Two labeled images that are almost the same."""

    items: tuple[int, int]
    cosine: float


def confused_pairs(images: LeftOutAnswers) -> list[ConfusedPair]:
    """All pairs of classes that were confused, the most often confused first."""
    named = images.named
    wrong = np.flatnonzero(named != images.given)
    directed: dict[tuple[int, int], list[int]] = {}
    for row in wrong.tolist():
        directed.setdefault((int(images.given[row]), int(named[row])), []).append(row)
    checked = np.bincount(images.given, minlength=images.probabilities.shape[1])

    def pair(first: int, second: int) -> ConfusedPair:
        there, back = directed.get((first, second), []), directed.get((second, first), [])
        return ConfusedPair(
            classes=(first, second),
            counts=(len(there), len(back)),
            checked=(int(checked[first]), int(checked[second])),
            examples=(_surest(there, images), _surest(back, images)),
        )

    ordered = {min((a, b), (b, a), key=lambda way: (-len(directed.get(way, [])), way)) for a, b in directed}
    return sorted((pair(*one) for one in ordered), key=lambda one: (-one.mistakes, one.classes))


def _surest(rows: Sequence[int], images: LeftOutAnswers) -> int | None:
    """The item that was named wrongly with the highest probability."""
    if not rows:
        return None
    return int(images.items[max(rows, key=lambda row: float(images.probabilities[row].max()))])


def class_records(images: LeftOutAnswers | None, counts: Sequence[int]) -> list[ClassRecord]:
    """Every class, by `ClassRecord.need`: those with the lowest accuracy and the fewest images first.

    Args:
        counts: labeled images of each class.
    """
    size = len(counts)
    checked = np.bincount(images.given, minlength=size) if images is not None else np.zeros(size, dtype=int)
    right = np.bincount(images.given[images.right], minlength=size) if images is not None else np.zeros(size, dtype=int)
    records = [ClassRecord(way=way, images=count, checked=int(checked[way]), right=int(right[way])) for way, count in enumerate(counts)]
    return sorted(records, key=lambda one: (one.need, one.images, one.way))


def mislabeled(images: LeftOutAnswers, features: Float32[Tensor, "item dim"], ways: Int64[np.ndarray, " item"]) -> list[Mislabeled]:
    """Images whose label is probably wrong, the most certain ones first.

    Confident learning (Northcutt, Jiang and Chuang, JAIR 2021, arXiv 1911.00068): an image counts for another class where its
    probability reaches the mean probability of that class among images that carry its label. With few images a class that mean is
    uncertain, so the other class must be probable by itself (`MIN_OTHER`), and the given one improbable beside it (`MAX_GIVEN`).

    Args:
        features: of all items.
        ways: class of each item as a position in `classes_`, -1 where it has no label.
    """
    rows = np.arange(len(images))
    usual = _mean_self_probability(images)
    given = images.probabilities[rows, images.given]
    others = images.probabilities.copy()
    others[rows, images.given] = -1.0
    best = others.argmax(-1)
    highest = others[rows, best]
    enough = np.bincount(images.given)[images.given] >= MIN_IMAGES
    doubted = enough & (highest >= np.maximum(usual[best], MIN_OTHER)) & (given <= MAX_GIVEN * highest)
    suspects = []
    for row in sorted(np.flatnonzero(doubted).tolist(), key=lambda row: given[row] - highest[row]):
        item, other = int(images.items[row]), int(best[row])
        suspects.append(
            Mislabeled(
                item=item,
                given=int(images.given[row]),
                other=other,
                given_probability=float(given[row]),
                other_probability=float(highest[row]),
                nearest=most_similar(features, item, np.flatnonzero(ways == other).tolist()),
            )
        )
    return suspects


def most_similar(features: Float32[Tensor, "item dim"], item: int, candidates: Sequence[int]) -> int:
    """The candidate whose features have the highest cosine with those of an item."""
    return candidates[int(F.cosine_similarity(features[list(candidates)], features[item], dim=-1).argmax())]


def _mean_self_probability(images: LeftOutAnswers) -> Float64[np.ndarray, " class"]:
    """Mean probability of each class among left out images that carry its label; 0 for classes without any."""
    size = images.probabilities.shape[1]
    own = images.probabilities[np.arange(len(images)), images.given]
    return np.bincount(images.given, weights=own, minlength=size) / np.bincount(images.given, minlength=size).clip(1)


def near_duplicates(features: Float32[Tensor, "item dim"], items: Sequence[int]) -> list[NearDuplicate]:
    """Pairs of labeled images whose features point in almost the same direction, the most similar first.

    Args:
        items: those that have a label.
    """
    unit = F.normalize(features[list(items)], dim=-1)
    least = 1 - near_gap(unit)
    pairs = []
    for start in range(0, len(items), CHUNK):
        cosines = (unit[start : start + CHUNK] @ unit.T).triu(start + 1)
        for row, column in (cosines >= least).nonzero().tolist():
            pairs.append(NearDuplicate(items=(items[start + row], items[column]), cosine=float(cosines[row, column])))
    return sorted(pairs, key=lambda one: (-one.cosine, one.items))


def near_gap(unit: Float32[Tensor, "item dim"]) -> float:
    """One less the cosine of near-duplicates, at most, among images like these. Features have length 1."""
    some = unit[:: max(len(unit) // CHUNK, 1)][:CHUNK]
    gaps = (1 - some @ some.T)[~torch.eye(len(some), dtype=torch.bool)]
    return min(NEAR_GAP, GAP_FRACTION * max(float(gaps.median()), 0.0))
