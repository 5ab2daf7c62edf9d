"""The page of `s2m2 doctor`: findings, counts and a contact sheet, in one file that can be sent, kept and read anywhere."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from s2m2 import __version__
from s2m2.data.dataset import SPLITS
from s2m2.data.inspection import Diagnosis, Finding, Observations, Subject
from s2m2.data.wording import count
from s2m2.files import write_text
from s2m2.reporting.contact_sheet import ClassStrip, class_strips
from s2m2.reporting.images import Tile, image_tile
from s2m2.reporting.page import template

MAX_DRAWN = 24
"""Sets of equal images that are drawn; all are named."""
MAX_OPEN = 10
"""Items of a finding that are seen at once; the others unfold."""
MAX_ITEMS = 5000
"""Items of a finding that a page lists at most, so that browsers can still open it."""


@dataclass(frozen=True, kw_only=True)
class ShownFinding:
    """A finding as the page shows it."""

    title: str
    plain: bool
    """Whether it has nothing below it."""
    tiles: tuple[tuple[Tile, str], ...]
    """An image for each of the first items, and the item."""
    items: tuple[str, ...]
    """Items that are seen at once."""
    folded: tuple[str, ...]
    """Items that unfold."""
    left_out: int


@dataclass(frozen=True, kw_only=True)
class ClassSection:
    """The classes of a split."""

    title: str
    strips: tuple[ClassStrip, ...]


def write_doctor_page(
    path: Path, subject: Subject, seen: Observations, diagnosis: Diagnosis, *, task: str, images: int, workers: int = 0
) -> None:
    """Write the page, whole or not at all.

    Args:
        task: the kind of task that classes were measured against, in words.
        images: how many are shown of each class.
        workers: threads that read and shrink images; 0: one a CPU core.
    """
    strips = class_strips(subject, seen.readable, diagnosis.class_counts, images, workers)
    page = template("doctor.html.j2").render(
        title=f"{subject.name}: {verdict(diagnosis)}",
        subtitle=" · ".join([subject.place, "a dataset" if subject.dataset is not None else "images on disk", task, f"s2m2 {__version__}"]),
        sections=[
            (heading, [_shown(subject, finding) for finding in diagnosis.of(severity)])
            for severity, heading in (("unusable", "Why it is not usable"), ("finding", "Findings"), ("note", "Notes"))
        ],
        parts=diagnosis.parts,
        expected=subject.expected,
        channels=[(part.name, triple(part.mean), triple(part.deviation)) for part in diagnosis.parts],
        digest=subject.dataset.digest if subject.dataset is not None else None,
        intact=subject.dataset is not None and subject.dataset.digest == seen.digest,
        classes=tuple(_sections(subject, strips)),
    )
    write_text(path, page)


def verdict(diagnosis: Diagnosis) -> str:
    """What the exit code means, in a word or two."""
    return {0: "sound", 1: count(len(diagnosis.of("finding")), "finding"), 2: "not usable"}[diagnosis.exit_code]


def triple(channels: Float64[np.ndarray, "3"]) -> str:
    """Red, green and blue, as the settings `data.mean` and `data.std` take them."""
    return " ".join(f"{channel:.4f}" for channel in channels.tolist())


def _shown(subject: Subject, finding: Finding) -> ShownFinding:
    drawn = len(finding.groups[:MAX_DRAWN])
    # The images of a set are equal, so one of them shows them all.
    tiles = tuple(
        (image_tile(subject.read(group[0]), alt=item), item) for group, item in zip(finding.groups, finding.items[:drawn], strict=False)
    )
    rest = finding.items[drawn:MAX_ITEMS]
    seen_at_once = max(0, MAX_OPEN - drawn) if len(finding.items) > MAX_OPEN else len(rest)
    return ShownFinding(
        title=finding.title[0].upper() + finding.title[1:],
        plain=finding.severity == "note" and not finding.items,
        tiles=tiles,
        items=rest[:seen_at_once],
        folded=rest[seen_at_once:],
        left_out=max(0, len(finding.items) - MAX_ITEMS),
    )


def _sections(subject: Subject, strips: tuple[ClassStrip, ...]) -> Iterator[ClassSection]:
    named = {number for split in SPLITS for number in subject.splits.get(split, ())}
    outside = tuple(number for number in range(len(strips)) if number not in named)
    parts = [(split.capitalize(), subject.splits.get(split, ())) for split in SPLITS]
    for title, numbers in [*parts, ("In no split" if named else "All", outside)]:
        if numbers:
            images = sum(strips[number].images for number in numbers)
            heading = f"{title}: {count(len(numbers), 'class', 'classes')}, {count(images, 'image')}"
            yield ClassSection(title=heading, strips=tuple(strips[number] for number in numbers))
