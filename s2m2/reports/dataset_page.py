"""The page of `s2m2 doctor`: findings, counts and a contact sheet of every class, in one file that can be read anywhere."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8
from PIL import Image

from s2m2 import __version__
from s2m2.console import count
from s2m2.data.dataset import SPLITS
from s2m2.data.inspection import Diagnosis, Finding, Observations, Subject
from s2m2.io import write_text
from s2m2.reports.html import template
from s2m2.reports.images import Tile, data_uri, image_tile

MAX_SETS = 24
"""Sets of equal images shown as images; all are listed by name."""
MAX_OPEN = 10
"""Items of a finding shown at once; the others unfold."""
MAX_ITEMS = 5000
"""Items of a finding on the page, so that browsers can still open it."""
SIZE = 64
"""Approximate size of an image of a strip on the page, in pixels."""
STORED_SIZE = 96
"""Size that larger images are reduced to; more than is shown, for high-resolution screens."""
MAX_LOSSLESS = 40
"""Images up to this size are stored without loss, and shown enlarged, each pixel a square."""
GAP = 4
"""Between two images of a strip on the page, in pixels."""
QUALITY = 80
"""Of WebP, up to 100, for reduced images."""
EFFORT = 2
"""Of WebP, up to 6: five times as fast as the default of 4, for files larger by a twentieth."""


@dataclass(frozen=True, kw_only=True)
class ClassStrip:
    """A class, its number of images, and some of them."""

    name: str
    images: int
    strip: Tile | None
    """None where no image is shown."""
    pixelated: bool = False
    """Whether pixels are to be enlarged to squares."""


@dataclass(frozen=True, kw_only=True)
class ShownFinding:
    """A finding on the page."""

    title: str
    plain: bool
    """Whether it has nothing below it."""
    tiles: tuple[tuple[Tile, str], ...]
    """An image for each of the first items, and the item."""
    items: tuple[str, ...]
    """Items shown at once."""
    folded: tuple[str, ...]
    """Items that unfold."""
    left_out: int


@dataclass(frozen=True, kw_only=True)
class ClassSection:
    """The classes of a split."""

    title: str
    strips: tuple[ClassStrip, ...]


def write_dataset_page(
    path: Path, subject: Subject, observations: Observations, diagnosis: Diagnosis, *, task: str, images: int, workers: int = 0
) -> None:
    """Write the page, whole or not at all.

    Args:
        task: the kind of task that classes were measured against, in words.
        images: number of images shown per class.
        workers: threads that read and shrink images; 0: one per CPU core.
    """
    strips = class_strips(subject, observations.readable, diagnosis.class_counts, images, workers)
    kind = "a dataset" if subject.dataset is not None else "images on disk"
    page = template("dataset.html.j2").render(
        title=f"{subject.name}: {verdict(diagnosis)}",
        subtitle=" · ".join([subject.path, kind, task, f"s2m2 {__version__}"]),
        sections=[
            (heading, [_shown(subject, finding) for finding in diagnosis.of(severity)])
            for severity, heading in (("unusable", "Why it is not usable"), ("finding", "Findings"), ("note", "Notes"))
        ],
        parts=diagnosis.parts,
        expected=subject.expected,
        channels=[(part.name, rgb_text(part.mean), rgb_text(part.deviation)) for part in diagnosis.parts],
        digest=subject.dataset.digest if subject.dataset is not None else None,
        intact=subject.dataset is not None and subject.dataset.digest == observations.digest,
        classes=tuple(_sections(subject, strips)),
    )
    write_text(path, page)


def verdict(diagnosis: Diagnosis) -> str:
    """The exit code in words."""
    return {0: "sound", 1: count(len(diagnosis.of("finding")), "finding"), 2: "not usable"}[diagnosis.exit_code]


def rgb_text(channels: Float64[np.ndarray, "3"]) -> str:
    """Red, green and blue in the format of the settings `data.mean` and `data.std`."""
    return " ".join(f"{channel:.4f}" for channel in channels.tolist())


def class_strips(
    subject: Subject, readable: Bool[np.ndarray, " image"], counts: Int64[np.ndarray, " class"], images: int, workers: int = 0
) -> tuple[ClassStrip, ...]:
    """A strip of every class, by class number, of images at equal distances through its readable ones.

    Args:
        counts: images of each class, as stated on the page.
        images: maximum per strip; 0: none.
        workers: threads that read and shrink; 0: one per CPU core.
    """
    by_class = subject.labels.argsort(kind="stable")
    by_class = by_class[readable[by_class]]
    bounds = np.searchsorted(subject.labels[by_class], np.arange(len(subject.class_names) + 1))

    def strip(number: int) -> ClassStrip:
        indices = by_class[bounds[number] : bounds[number + 1]]
        positions = np.unique(np.linspace(0, len(indices) - 1, min(images, len(indices))).round().astype(np.int64))
        shown = [subject.read(int(index)) for index in indices[positions]] if images else []
        name = subject.class_names[number]
        if not shown:
            return ClassStrip(name=name, images=int(counts[number]), strip=None)
        tile = image_strip(shown, alt=f"{count(len(shown), 'image')} of {name}")
        return ClassStrip(name=name, images=int(counts[number]), strip=tile, pixelated=_are_small(shown))

    with ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="strips") as pool:
        return tuple(pool.map(strip, range(len(subject.class_names))))


def image_strip(images: Sequence[UInt8[np.ndarray, "_ _ 3"]], *, alt: str) -> Tile:
    """Images side by side in one WebP with a transparent background."""
    small = _are_small(images)
    factor = max(1, round(SIZE / max(max(image.shape[:2]) for image in images))) if small else SIZE / STORED_SIZE
    scaled = [Image.fromarray(np.ascontiguousarray(image)) for image in images]
    if not small:
        scaled = [image.resize(_fitted(image.size), Image.Resampling.LANCZOS) for image in scaled]
    gap = round(GAP / factor)
    width = sum(image.width for image in scaled) + gap * (len(scaled) - 1)
    sheet = Image.new("RGBA", (width, max(image.height for image in scaled)))
    left = 0
    for image in scaled:
        sheet.paste(image, (left, 0))
        left += image.width + gap
    source = data_uri(sheet, "webp", lossless=small, quality=QUALITY, method=EFFORT)
    return Tile(source=source, width=round(sheet.width * factor), height=round(sheet.height * factor), alt=alt)


def _are_small(images: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> bool:
    return all(max(image.shape[:2]) <= MAX_LOSSLESS for image in images)


def _fitted(size: tuple[int, int]) -> tuple[int, int]:
    width, height = (max(1, round(length * STORED_SIZE / max(size))) for length in size)
    return width, height


def _shown(subject: Subject, finding: Finding) -> ShownFinding:
    sets = len(finding.groups[:MAX_SETS])
    # The images of a set are equal, so one of them shows them all.
    tiles = tuple(
        (image_tile(subject.read(group[0]), alt=item), item) for group, item in zip(finding.groups, finding.items[:sets], strict=False)
    )
    rest = finding.items[sets:MAX_ITEMS]
    opened = max(0, MAX_OPEN - sets) if len(finding.items) > MAX_OPEN else len(rest)
    return ShownFinding(
        title=finding.title[0].upper() + finding.title[1:],
        plain=finding.severity == "note" and not finding.items,
        tiles=tiles,
        items=rest[:opened],
        folded=rest[opened:],
        left_out=max(0, len(finding.items) - MAX_ITEMS),
    )


def _sections(subject: Subject, strips: tuple[ClassStrip, ...]) -> Iterator[ClassSection]:
    in_splits = {number for split in SPLITS for number in subject.splits.get(split, ())}
    outside = tuple(number for number in range(len(strips)) if number not in in_splits)
    parts = [(split.capitalize(), subject.splits.get(split, ())) for split in SPLITS]
    for title, numbers in [*parts, ("In no split" if in_splits else "All", outside)]:
        if numbers:
            images = sum(strips[number].images for number in numbers)
            heading = f"{title}: {count(len(numbers), 'class', 'classes')}, {count(images, 'image')}"
            yield ClassSection(title=heading, strips=tuple(strips[number] for number in numbers))
