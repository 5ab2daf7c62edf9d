"""The report of a fitted model as one page: the answer, what to do next, and the images that say why."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from s2m2 import __version__
from s2m2.console import count
from s2m2.errors import InputError
from s2m2.evaluation.calibration import calibration_error, reliability_bins
from s2m2.io import write_text
from s2m2.recognition.estimate import LeftOutAnswers
from s2m2.recognition.suspects import most_similar
from s2m2.reports.html import template
from s2m2.reports.plots import COLORS, Plot, canvas, styled
from s2m2.reports.trust import draw_reliability, frame_reliability

if TYPE_CHECKING:
    from s2m2.recognition.report import FitReport

MAX_THUMBNAILS = 3_000_000
"""Bytes of all small images on a page; of base64 a third more. What needs a look has images first, then the classes in their order."""
MAX_SHOWN = 6
"""Images of a class."""
MAX_PAIRS, MAX_SUSPECTS, MAX_DUPLICATES = 12, 24, 12
MAX_CLASSES = 400
"""Classes with a card; the page says how many more there are."""
BINS = 10
"""Of the calibration curve."""
MIN_CURVE = 30
"""Left out images from which there is one."""


@dataclass(frozen=True, kw_only=True)
class ShownImage:
    """A small image on the page."""

    source: str
    """A data URI; empty where there is no small image, or no room for it."""
    name: str
    alt: str


@dataclass(frozen=True, kw_only=True)
class ShownClass:
    """A card of a class."""

    name: str
    verdict: str
    percent: int | None
    """Left out images named right, of 100; None where nothing could be checked."""
    images: str
    shown_images: tuple[ShownImage, ...]


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Two images side by side, and what they are about."""

    title: str
    sentence: str
    shown_images: tuple[tuple[str, ShownImage], ...]
    """Each with what stands above it."""


class ShownImages:
    """Small images as data URIs, until the page is full."""

    def __init__(self, thumbnails: Sequence[bytes], names: Sequence[str]) -> None:
        self.thumbnails, self.names, self.left = thumbnails, names, MAX_THUMBNAILS
        self.cut = False
        """Some did not fit."""

    def __call__(self, item: int, alt: str) -> ShownImage:
        """The image of an item; without its pixels where there is no room left."""
        content, source = self.thumbnails[item], ""
        if content and len(content) > self.left:
            self.cut = True
        elif content:
            self.left -= len(content)
            source = jpeg_uri(content)
        return ShownImage(source=source, name=Path(self.names[item]).name, alt=alt)


def jpeg_uri(content: bytes) -> str:
    """A JPEG file as a data URI."""
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}" if content else ""


def write_report_page(report: "FitReport", path: Path) -> Path:
    """Write the page.

    Raises:
        InputError: the file cannot be written.
    """
    shown_images = ShownImages(report.support.thumbnails, report.support.names)
    suspects, pairs, duplicates = _suspects(report, shown_images), _pairs(report, shown_images), _duplicates(report, shown_images)
    one = report.estimate
    page = template("fit.html.j2", "s2m2.recognition").render(
        title=f"How good will it be on {count(len(report.classes), 'class', 'classes')}?",
        subtitle=f"{count(len(report.support.active), 'labeled image')} · s2m2 {__version__}",
        headline=report.headline(),
        estimate=one,
        steps=[step.replace("`", "") for step in report.steps()],
        caveats=report.caveats(),
        suspects=suspects,
        more_suspects=max(0, len(report.mislabeled) - MAX_SUSPECTS),
        pairs=pairs,
        more_pairs=max(0, len(report.pairs) - MAX_PAIRS),
        duplicates=duplicates,
        more_duplicates=max(0, len(report.duplicates) - MAX_DUPLICATES),
        classes=_classes(report, shown_images),
        more_classes=max(0, len(report.classes) - MAX_CLASSES),
        curve=reliability(report.left_out) if report.left_out is not None and len(report.left_out) >= MIN_CURVE else None,
        cut=shown_images.cut,
        notes=report.notes,
    )
    return write_page(path, page)


def write_page(path: Path, page: str) -> Path:
    """Write a page at once or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        write_text(path, page.replace(" %", "\u00a0%"))  # a number stays with its unit
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def reliability(images: LeftOutAnswers) -> Plot:
    """Accuracy of left out images against the probability of their most probable class."""
    bins = reliability_bins(torch.from_numpy(images.probabilities.max(-1)), torch.from_numpy(images.right), BINS)
    rows, error = list(map(tuple, bins[bins[:, 0] > 0].tolist())), calibration_error(bins)
    with styled():
        figure, axes = canvas("probability of the named class (%)", "named right (%)")
        figure.set_size_inches(4.4, 3.2)
        draw_reliability(axes, rows, COLORS["blue"], f"{len(images):,} left out images: error {100 * error:.1f} %")
        frame_reliability(axes)
    words = (
        f"Fraction of left out images named right, by the probability of the named class; expected calibration error {error:.1%}. "
        "These images helped to set the temperature, so new images may fit a little less well."
    )
    return Plot(title="Are the probabilities right?", description=words, figure=figure)


def _classes(report: "FitReport", shown_images: ShownImages) -> list[ShownClass]:
    items: dict[str, list[int]] = {}
    for item in report.support.active:
        items.setdefault(report.label(item), []).append(item)
    shown = []
    for record in report.records[:MAX_CLASSES]:
        name = report.classes[record.way]
        shown.append(
            ShownClass(
                name=name,
                verdict=f"{record.right} of {record.checked} named right" if record.checked else "not checked: a single image",
                percent=round(100 * record.right / record.checked) if record.checked else None,
                images=count(record.images, "image"),
                shown_images=tuple(shown_images(item, f"labeled {name}") for item in items[name][:MAX_SHOWN]),
            )
        )
    return shown


def _pairs(report: "FitReport", shown_images: ShownImages) -> list[Beside]:
    shown = []
    for pair in report.pairs[:MAX_PAIRS]:
        first, second = (report.classes[way] for way in pair.classes)
        examples = [
            (f"{label}, named {said}", shown_images(item, f"{label}, named {said}"))
            for item, (label, said) in zip(pair.examples, ((first, second), (second, first)), strict=True)
            if item is not None
        ]
        if pair.examples[0] is not None and pair.examples[1] is None:
            others = [item for item in report.support.active if report.label(item) == second]
            nearest = most_similar(report.support.features, pair.examples[0], others)
            examples.append((f"most similar {second}", shown_images(nearest, f"the most similar image of {second}")))
        shown.append(
            Beside(
                title=f"{first} and {second}",
                sentence=", ".join(
                    f"{number} of {count(checked, 'image')} of {one} named {other}"
                    for number, checked, one, other in zip(pair.counts, pair.checked, (first, second), (second, first), strict=True)
                    if number
                ),
                shown_images=tuple(examples),
            )
        )
    return shown


def _suspects(report: "FitReport", shown_images: ShownImages) -> list[Beside]:
    shown = []
    for one in report.mislabeled[:MAX_SUSPECTS]:
        given, other = report.classes[one.given], report.classes[one.other]
        shown.append(
            Beside(
                title=Path(report.support.names[one.item]).name,
                sentence=f"{given}: {_percent(one.given_probability)}, {other}: {_percent(one.other_probability)}",
                shown_images=(
                    (f"labeled {given}", shown_images(one.item, f"in doubt, labeled {given}")),
                    (f"most similar {other}", shown_images(one.nearest, f"the most similar image of {other}")),
                ),
            )
        )
    return shown


def _duplicates(report: "FitReport", shown_images: ShownImages) -> list[Beside]:
    shown = []
    for one in report.duplicates[:MAX_DUPLICATES]:
        labels = [report.label(item) for item in one.items]
        names = [Path(report.support.names[item]).name for item in one.items]
        shown.append(
            Beside(
                title=labels[0] if labels[0] == labels[1] else f"{labels[0]} and {labels[1]}",
                sentence=f"{names[0]} and {names[1]}",
                shown_images=tuple((label, shown_images(item, f"labeled {label}")) for label, item in zip(labels, one.items, strict=True)),
            )
        )
    return shown


def _percent(fraction: float) -> str:
    from s2m2.recognition.report import percent

    return percent(fraction)
