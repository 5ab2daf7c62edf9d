"""`FitReport`: how good a fitted model will be on its classes, and what to do next, as text, as a page, and as plain values."""

import os
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from s2m2.console import count, encodable, first_named
from s2m2.io import expanded
from s2m2.recognition.estimate import Estimate, LeftOutAnswers, estimate, left_out
from s2m2.recognition.support import Support
from s2m2.recognition.suspects import (
    ClassRecord,
    ConfusedPair,
    Mislabeled,
    NearDuplicate,
    class_records,
    confused_pairs,
    mislabeled,
    near_duplicates,
)

if TYPE_CHECKING:
    from s2m2.recognition.classifier import ImageClassifier

WIDTH = 80
"""Columns of the text."""
MAX_LINES = 5
"""Of each list in the text; the page and `to_dict` have more."""
LOW_ACCURACY = 0.7
"""Below which the report tells what helps all classes."""
ENOUGH_IMAGES = 10
"""Of a class, after which more gain little (`benchmarks/reports/own_classes-2026-11-27.md`)."""
FEW_IMAGES = 3
"""Images a class up to which the estimate is rather low: its classifiers had one image of each class less."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FitReport:
    """What labeled images say of a fitted model. Classes are positions in `classes`, images positions in `support`."""

    classes: tuple[str, ...]
    support: Support
    left_out: LeftOutAnswers | None
    """None: every class has one image, and no image can be left out."""
    estimate: Estimate | None
    records: tuple[ClassRecord, ...]
    """Every class, the one that needs images most first."""
    pairs: tuple[ConfusedPair, ...]
    mislabeled: tuple[Mislabeled, ...]
    duplicates: tuple[NearDuplicate, ...]
    calibration: str
    """What the probabilities are worth, in sentences."""
    notes: tuple[str, ...]
    """What was left out when the model was fitted."""

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def headline(self) -> str:
        """The answer in a sentence."""
        if self.estimate is None:
            return "How good it will be cannot be said: every class has a single image. Add a second image of each class."
        one, checked = self.estimate, sum(record.checked > 0 for record in self.records)
        which = "these classes" if checked == len(self.records) else f"the {checked} classes with several images"
        return (
            f"About {percent(one.accuracy)} of new images of {which} will be named right "
            f"(95 % interval {percent(one.interval.low)} to {percent(one.interval.high)}; guessing: {percent(one.guessing)})."
        )

    def steps(self) -> tuple[str, ...]:
        """What to do next, the most useful first."""
        return tuple(_steps(self))

    def caveats(self) -> tuple[str, ...]:
        """How the estimate was made and what it is not, in sentences."""
        if self.estimate is None:
            return (self.calibration,)
        low = ""
        if min(record.images for record in self.records if record.checked) <= FEW_IMAGES:
            low = (
                "It is rather low: each of those classifiers had an image of every class less than the model, which matters with "
                f"{FEW_IMAGES} images of a class or fewer."
            )
        fraction = self.estimate.answered_accuracy
        others = f"; of the others {percent(fraction)} are named right" if fraction is not None else ""
        turned = f"Turned away as unknown: {percent(self.estimate.unknown)} of them{others}."
        sets = f"A set meant to hold the right class of 95 % of images has {self.estimate.set_size:.1f} classes on average."
        return tuple(sentence for sentence in (self.estimate.sentence(), low, turned, sets, self.calibration) if sentence)

    def text(self) -> str:
        """Plain text for a terminal of 80 columns."""
        lines = [*_wrapped(self.headline()), ""]
        lines += [line for sentence in self.caveats() for line in _wrapped(sentence)]
        if steps := self.steps():
            lines += ["", "Next:"]
            for number, step in enumerate(steps, 1):
                lines += _wrapped(step, first=f"  {number}. ", rest="     ")
        for title, entries in self._lists():
            lines += ["", title]
            for entry in entries[:MAX_LINES]:
                lines += _wrapped(entry, first="  ", rest="      ")
            if len(entries) > MAX_LINES:
                lines.append(f"  and {len(entries) - MAX_LINES:,} more")
        return encodable("\n".join(lines)) + "\n"

    def to_html(self, path: str | Path) -> Path:
        """Write one page that holds everything it shows; a file that is there is replaced at once.

        Raises:
            InputError: the file cannot be written.
        """
        from s2m2.recognition.report_page import write_report_page

        return write_report_page(self, expanded(path))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: fractions from 0 to 1, classes and images by name."""
        name = self.support.names
        return {
            "headline": self.headline(),
            "estimate": self.estimate.to_dict() if self.estimate is not None else None,
            "next": list(self.steps()),
            "classes": [
                {"class": self.classes[one.way], "images": one.images, "checked": one.checked, "right": one.right} for one in self.records
            ],
            "confused": [
                {"classes": [self.classes[way] for way in one.classes], "counts": list(one.counts), "checked": list(one.checked),
                 "examples": [None if item is None else name[item] for item in one.examples]}
                for one in self.pairs
            ],
            "mislabeled": [
                {"image": name[one.item], "label": self.classes[one.given], "label_probability": one.given_probability,
                 "looks_like": self.classes[one.other], "probability": one.other_probability, "nearest": name[one.nearest]}
                for one in self.mislabeled
            ],
            "near_duplicates": [{"images": [name[item] for item in one.items], "cosine": one.cosine} for one in self.duplicates],
            "calibration": self.calibration,
            "notes": list(self.notes),
        }  # fmt: skip

    def label(self, item: int) -> str:
        """Class of a labeled image, as text."""
        return str(self.support.labels[item])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of each image the path below the folder that all of them lie in."""
        paths = [Path(name) for name in self.support.names]
        if len({path.anchor for path in paths}) > 1 or len(paths) < 2 or not all(path.is_absolute() for path in paths):
            return self.support.names
        root = os.path.commonpath([path.parent for path in paths])
        return self.support.names if root == paths[0].anchor else tuple(str(path.relative_to(root)) for path in paths)

    def _lists(self) -> Iterator[tuple[str, list[str]]]:
        name = self.names
        if self.pairs:
            yield "Classes it confuses most:", [pair_words(pair, self.classes) for pair in self.pairs]
        weak = [record for record in self.records if record.right < record.checked]
        if weak:
            yield (
                "Classes that need images most (few right, then few images):",
                [f"{self.classes[one.way]}: {one.right} of {count(one.checked, 'image')} right" for one in weak],
            )
        if self.mislabeled:
            yield (
                "Labels that may be wrong, or rare views of their class:",
                [
                    f"{name[one.item]}: labeled {self.classes[one.given]}, looks like {self.classes[one.other]} "
                    f"({percent(one.other_probability)})"
                    for one in self.mislabeled
                ],
            )
        if self.duplicates:
            yield "Almost the same image twice:", [duplicate_words(one, self) for one in self.duplicates]


def fit_report(model: "ImageClassifier") -> FitReport:
    """The report of a fitted model; see `ImageClassifier.report`."""
    support, labels = model.support_, model.classes_.tolist()
    ways = np.array(support.ways)
    images = left_out(model)
    counts = Counter(ways.tolist())
    return FitReport(
        classes=tuple(map(str, labels)),
        support=support,
        left_out=images,
        estimate=estimate(images) if images is not None else None,
        records=tuple(class_records(images, [counts[way] for way in range(len(labels))])),
        pairs=tuple(confused_pairs(images)) if images is not None else (),
        mislabeled=tuple(mislabeled(images, support.features, ways)) if images is not None else (),
        duplicates=tuple(near_duplicates(support.features, support.active)),
        calibration=model.calibration_.sentence(model.unknown),
        notes=tuple(model.notes_),
    )


def percent(fraction: float) -> str:
    """A fraction in percent without decimals; never 0 or 100 for what is not quite."""
    rounded = round(100 * fraction)
    if fraction > 0 and rounded == 0:
        return "under 1 %"
    return "over 99 %" if fraction < 1 and rounded == 100 else f"{rounded} %"


def pair_words(pair: ConfusedPair, classes: Sequence[str]) -> str:
    """A confused pair in words."""
    (first, second), (there, back) = (classes[way] for way in pair.classes), pair.counts
    words = f"{first} named {second}: {there} of {count(pair.checked[0], 'image')}"
    return f"{words}; the reverse: {back} of {pair.checked[1]}" if back else words


def duplicate_words(pair: NearDuplicate, report: FitReport) -> str:
    """A pair of near-duplicates in words."""
    names, (first, second) = report.names, pair.items
    labels = [report.label(item) for item in pair.items]
    kind = f"both {labels[0]}" if labels[0] == labels[1] else f"labeled {labels[0]} and {labels[1]}"
    return f"{names[first]} and {names[second]} ({kind})"


def _steps(report: FitReport) -> Iterator[str]:
    classes = report.classes
    single = [classes[one.way] for one in report.records if one.images == 1]
    if len(single) == len(classes):
        yield "Add a second image of each class, better five: then each can be checked with the others."
    elif single:
        yield f"Add a second image of {first_named(single)}: a class with a single image cannot be checked."
    if report.mislabeled:
        one, more = report.mislabeled[0], len(report.mislabeled) - 1
        others = f", and {more:,} more" if more else ""
        yield (
            f"Check {count(len(report.mislabeled), 'label')}: {report.names[one.item]} is labeled {classes[one.given]}, "
            f"but looks like {classes[one.other]}{others}."
        )
    across = [one for one in report.duplicates if report.label(one.items[0]) != report.label(one.items[1])]
    if across:
        yield f"Decide which label is right: {duplicate_words(across[0], report)} are almost the same image."
    weakest = next((one for one in report.records if one.checked and one.right < one.checked), None)
    if weakest is not None:
        right = f"{weakest.right} of its {count(weakest.checked, 'image')} named right"
        yield f"Add images of {classes[weakest.way]} first: {right}. `s2m2 suggest` picks photos worth a label."
    if report.pairs and report.pairs[0].mistakes > 1:
        first, second = (classes[way] for way in report.pairs[0].classes)
        yield f"Add images that tell {first} from {second}: confused {count(report.pairs[0].mistakes, 'time')}."
    if report.estimate is not None and report.estimate.accuracy < LOW_ACCURACY:
        fewest = min(one.images for one in report.records)
        goal = f"{ENOUGH_IMAGES} of each class (now {fewest} at least)" if fewest < ENOUGH_IMAGES else "of every class"
        yield f"Add images{',' if fewest < ENOUGH_IMAGES else ''} {goal}, or try a larger network, `--backbone timm:MODEL`."
    if same := len(report.duplicates) - len(across):
        yield f"Remove one image of {count(same, 'pair')} of almost equal ones: they make the estimate look better than it is."


def _wrapped(text: str, first: str = "", rest: str = "") -> list[str]:
    """Lines of a terminal; a long path keeps a line of its own, and a number stays with its percent sign."""
    tied = text.replace(" %", "\u00a0%")
    lines = textwrap.wrap(tied, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\u00a0%", " %") for line in lines]
