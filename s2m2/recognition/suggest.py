"""Which unlabeled photos to label next: those that stand for the most photos unlike the labeled ones.

Greedy facility location (Wei, Iyer and Bilmes, ICML 2015; for few labels Hacohen, Dekel and Weinshall, ICML 2022, arXiv 2202.02794, who
find typical examples better than uncertain ones): each photo counts as covered by the most similar labeled or chosen image, and the next
choice is the photo that adds most to the coverage of all. That gains twice as much as choosing by uncertainty
(`benchmarks/suggestions.py`), which only gives the reason.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Int64
from torch import Tensor

from s2m2.errors import InputError
from s2m2.recognition.class_names import Label
from s2m2.recognition.extractors import FEATURES
from s2m2.recognition.suspects import near_gap

if TYPE_CHECKING:
    from s2m2.recognition.classifier import ImageClassifier
    from s2m2.recognition.fitted import Answers

MAX_POOL = 4000
"""Photos that are compared with each other; of more, so many are sampled, each with the same probability."""
BETWEEN = 0.5
"""Difference of the two highest probabilities below which a photo is between two classes."""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A photo worth a label."""

    photo: str
    label: Label
    """The most probable class, to be confirmed or corrected."""
    probability: float
    reason: str
    """In words: `between Barn Swallow and Cliff Swallow`."""
    similar: int
    """Photos that it stands for, itself included: those that are more similar to it than to any labeled or other suggested image."""


class Suggestions(list[Suggestion]):
    """Suggestions, the most useful first, and what became of the photos."""

    def __init__(self, suggestions: Iterable[Suggestion], *, photos: int, skipped: tuple[str, ...]) -> None:
        super().__init__(suggestions)
        self.photos = photos
        """Readable ones."""
        self.skipped = skipped
        """Of each photo that could not be read, the reason."""


def suggest(model: "ImageClassifier", photos: Iterable[Any], count: int = 10) -> Suggestions:
    """The photos to label next.

    Args:
        photos: paths, Pillow images or arrays, as many as there are: they stream through the network. Features, image x dim, where the
            backbone is `features`.
        count: suggestions at most; fewer where all others are near-duplicates.

    Raises:
        InputError: count is below 1, or no photo can be read.
    """
    if count < 1:
        raise InputError(f"count is {count}, but must be 1 or more")
    pool = _Pool(np.random.default_rng(model.random_state))
    for names, features in _stream(model, photos, pool.skipped):
        pool.add(names, features)
    if not pool.seen:
        first = f": {pool.skipped[0]}" if pool.skipped else ""
        raise InputError(f"there is no readable photo to suggest{first}")
    features = torch.stack(pool.features)
    labeled = F.normalize(model.support_.features[model.support_.active], dim=-1)
    chosen, similar = choose(F.normalize(features, dim=-1), labeled, count)
    if not chosen:
        return Suggestions((), photos=pool.seen, skipped=tuple(pool.skipped))
    answers = model.answers_of(features[chosen])
    suggestions = [
        Suggestion(
            photo=pool.names[position],
            label=answers.classes[int(answers.probabilities[row].argmax())],
            probability=float(answers.probabilities[row].max()),
            reason=_reason(answers, row),
            similar=similar[row],
        )
        for row, position in enumerate(chosen)
    ]
    return Suggestions(suggestions, photos=pool.seen, skipped=tuple(pool.skipped))


def choose(photos: Float32[Tensor, "photo dim"], labeled: Float32[Tensor, "item dim"], count: int) -> tuple[list[int], list[int]]:
    """Positions of the photos to label, and the number of photos that each stands for. Features have length 1."""
    cosines = photos @ photos.T
    covered = (photos @ labeled.T).amax(-1)
    most = 1 - (near_gap(photos) if len(photos) > 1 else near_gap(torch.cat([photos, labeled])))
    allowed = covered < most
    nearest: Int64[Tensor, " photo"] = torch.full((len(photos),), -1)
    chosen: list[int] = []
    while len(chosen) < count and bool(allowed.any()):
        gains = (cosines - covered[:, None]).clamp_min(0).sum(0)
        best = int(gains.masked_fill(~allowed, -1.0).argmax())
        better = cosines[:, best] > covered
        nearest[better] = len(chosen)
        covered = torch.maximum(covered, cosines[:, best])
        allowed &= cosines[:, best] < most
        allowed[best] = False  # its cosine with itself may be rounded below 1
        chosen.append(best)
    return chosen, [int((nearest == row).sum()) for row in range(len(chosen))]


class _Pool:
    """A uniform sample of a stream of any length (reservoir sampling)."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator
        self.names: list[str] = []
        self.features: list[Tensor] = []
        self.skipped: list[str] = []
        self.seen = 0

    def add(self, names: list[str], features: Float32[Tensor, "photo dim"]) -> None:
        for name, feature in zip(names, features, strict=True):
            self.seen += 1
            if len(self.names) < MAX_POOL:
                self.names.append(name)
                self.features.append(feature.clone())
            elif (position := int(self.generator.integers(self.seen))) < MAX_POOL:
                self.names[position], self.features[position] = name, feature.clone()


def _stream(model: "ImageClassifier", photos: Iterable[Any], skipped: list[str]) -> Iterator[tuple[list[str], Tensor]]:
    if model.backbone == FEATURES:
        from s2m2.recognition.labeled import feature_rows

        rows = feature_rows(photos, model.support_.features.shape[1])
        yield [f"X[{row}]" for row in range(len(rows))], rows
        return
    for batch in model.feature_batches(photos):
        skipped.extend(image.reason for image in batch.images if image.reason)
        yield [image.name for image in batch.images if not image.reason], batch.features


def _reason(answers: "Answers", row: int) -> str:
    order = (-answers.probabilities[row]).argsort(kind="stable")
    first, second = (answers.classes[way] for way in order[:2])
    if answers.unknown[row]:
        return "unlike any class"
    if answers.probabilities[row, order[0]] - answers.probabilities[row, order[1]] < BETWEEN:
        return f"between {first} and {second}"
    return f"like {first}, in a way that no labeled image shows"
