"""Predictions as one page: doubtful ones first, each photo beside the labeled images that are most like it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jaxtyping import Float32
from torch import Tensor

from s2m2 import __version__
from s2m2.console import count
from s2m2.io import expanded
from s2m2.recognition.class_names import Label
from s2m2.recognition.report_page import jpeg_uri, write_page
from s2m2.reports.html import template

if TYPE_CHECKING:
    from s2m2.recognition.bulk import Predictions
    from s2m2.recognition.classifier import ImageClassifier

MAX_ROWS = 500
"""Photos on a page; the page says how many more there are."""
MAX_CLASSES = 4
"""Classes of a photo with their probabilities."""
NEIGHBORS = 3
"""Labeled images beside a photo."""


@dataclass(frozen=True, kw_only=True)
class Neighbor:
    """A labeled image that is like a photo."""

    label: Label
    name: str
    thumbnail: bytes
    """JPEG; empty where there is none."""


@dataclass(frozen=True, kw_only=True)
class PredictionRow:
    """A photo with its answer."""

    photo: str
    """Name or path."""
    thumbnail: bytes
    """JPEG of the photo (`feature_batches(photos, keep=True)` gives it); empty where there is none."""
    label: Label | None
    """The named class; None: unknown, or the photo could not be read."""
    probabilities: tuple[tuple[Label, float], ...]
    """The most probable classes, the highest first."""
    neighbors: tuple[Neighbor, ...] = ()
    """The most similar labeled images, the nearest first."""
    reason: str = ""
    """Why the photo could not be read."""

    @property
    def certainty(self) -> float:
        """Difference of the two highest probabilities; lower than any such where the photo is unknown, higher where there is no answer."""
        if not self.probabilities:
            return 2.0
        second = self.probabilities[1][1] if len(self.probabilities) > 1 else 0.0
        margin = self.probabilities[0][1] - second
        return margin if self.label is not None else margin - 1.0


@dataclass(frozen=True, kw_only=True)
class _Shown:
    name: str
    source: str
    answer: str
    reason: str
    probabilities: tuple[tuple[str, str, float], ...]
    neighbors: tuple[tuple[str, str, str], ...]


def nearest_labeled(
    model: "ImageClassifier", features: Float32[Tensor, "image dim"], number: int = NEIGHBORS
) -> list[tuple[Neighbor, ...]]:
    """The labeled images most similar to each photo, for `PredictionRow.neighbors`."""
    support = model.support_
    return [
        tuple(
            Neighbor(label=label, name=support.names[item], thumbnail=support.thumbnails[item])
            for item in row
            if (label := support.labels[item]) is not None
        )
        for row in support.nearest(features, number)
    ]


class DoubtfulRows:
    """Collects a stream of predictions for a page: counts all of them, and keeps the most doubtful ones."""

    def __init__(self, model: "ImageClassifier") -> None:
        self.model = model
        self.rows: list[PredictionRow] = []
        self.photos = self.unknown = self.unreadable = 0

    def add(self, part: "Predictions") -> None:
        """Add some predictions, made with thumbnails."""
        positions = {position: number for number, position in enumerate(part.readable)}
        labels, neighbors = part.answers.labels(), nearest_labeled(self.model, part.features)
        for position, (photo, reason) in enumerate(zip(part.files, part.errors, strict=True)):
            number = positions.get(position)
            if number is None:
                self.rows.append(PredictionRow(photo=photo, thumbnail=b"", label=None, probabilities=(), reason=reason))
                continue
            chosen = part.answers.probabilities[number]
            best = tuple((part.answers.classes[way], float(chosen[way])) for way in (-chosen).argsort(kind="stable")[:MAX_CLASSES])
            thumbnail = part.thumbnails[position]
            self.rows.append(
                PredictionRow(photo=photo, thumbnail=thumbnail, label=labels[number], probabilities=best, neighbors=neighbors[number])
            )
        self.photos += len(part.files)
        self.unknown += int(part.answers.unknown.sum())
        self.unreadable += len(part.files) - len(part.readable)
        self.rows = sorted(self.rows, key=lambda row: row.certainty)[:MAX_ROWS]

    def write(self, path: Path) -> Path:
        """Write the page; see `write_predictions_page`."""
        return _write(path, self.rows, self.photos, self.unknown, self.unreadable)


def write_predictions_page(path: str | Path, rows: Iterable[PredictionRow]) -> Path:
    """Write one page that holds everything it shows; doubtful photos come first.

    Raises:
        InputError: the file cannot be written.
    """
    every = sorted(rows, key=lambda row: row.certainty)
    unreadable, unknown = sum(bool(row.reason) for row in every), sum(row.label is None and not row.reason for row in every)
    return _write(expanded(path), every, len(every), unknown, unreadable)


def _write(path: Path, rows: Sequence[PredictionRow], photos: int, unknown: int, unreadable: int) -> Path:
    facts = [f"{count(unknown, 'photo')} of none of the classes", f"{unreadable:,} unreadable"]
    page = template("predictions.html.j2", "s2m2.recognition").render(
        title=count(photos, "photo") + " named" if photos else "No photos",
        subtitle=" · ".join([fact for fact, number in zip(facts, (unknown, unreadable), strict=True) if number] + [f"s2m2 {__version__}"]),
        rows=_shown(rows[:MAX_ROWS]),
        more=max(0, photos - MAX_ROWS),
    )
    return write_page(path, page)


def _shown(rows: Sequence[PredictionRow]) -> list[_Shown]:
    from s2m2.recognition.report import percent

    return [
        _Shown(
            name=Path(row.photo).name,
            source=jpeg_uri(row.thumbnail),
            answer="not read" if row.reason else "none of the classes" if row.label is None else str(row.label),
            reason=row.reason,
            probabilities=tuple((str(label), percent(one), round(100 * one, 1)) for label, one in row.probabilities[:MAX_CLASSES]),
            neighbors=tuple((str(one.label), Path(one.name).name, jpeg_uri(one.thumbnail)) for one in row.neighbors[:NEIGHBORS]),
        )
        for row in rows
    ]
