"""How good a fitted model will be on its classes, from labeled images that were each scored by a classifier fitted without them."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.stats import t as student

from s2m2.console import count

if TYPE_CHECKING:
    from s2m2.recognition.classifier import ImageClassifier

LEVEL = 0.975
"""Of the quantile that a 95 % interval takes."""
MIN_CLUSTERS = 8
"""Checked classes from which the interval is one over classes; of fewer, the differences between them say too little."""
COVERAGE = 0.95
"""Of the sets whose mean size is stated."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LeftOutAnswers:
    """Labeled images, each with the answer of a classifier that was fitted without it."""

    items: Int64[np.ndarray, " image"]
    """Positions in the model's `support_`."""
    given: Int64[np.ndarray, " image"]
    """Class of the label of each, as a position in `classes_`."""
    probabilities: Float64[np.ndarray, "image class"]
    unknown: Bool[np.ndarray, " image"]
    """Whether it would be turned away."""
    sizes: Int64[np.ndarray, " image"]
    """Classes in the set of coverage `COVERAGE`."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def named(self) -> Int64[np.ndarray, " image"]:
        """The most probable class of each."""
        return self.probabilities.argmax(-1)

    @property
    def right(self) -> Bool[np.ndarray, " image"]:
        """Whether that is the class of its label."""
        return self.named == self.given


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A 95 % interval of an accuracy."""

    low: float
    high: float
    classes: int
    """Classes that it was taken over; 0: it takes the images as independent."""

    def sentence(self) -> str:
        """How it was made, for people."""
        if self.classes:
            return f"The interval is over the {self.classes} classes, as images of one class are right or wrong together."
        return f"The interval (Wilson) takes images as independent; with fewer than {MIN_CLUSTERS} classes it may be too narrow."


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What to expect of new images of the classes. Fractions, from 0 to 1."""

    images: int
    """Labeled images that were left out in turn."""
    classes: int
    """Classes that have such images."""
    accuracy: float
    """Of the most probable class, nothing turned away."""
    interval: Interval
    guessing: float
    """Accuracy of guessing one of all classes."""
    unknown: float
    """Fraction turned away as unknown."""
    answered_accuracy: float | None
    """Accuracy among the others; None where all are turned away."""
    set_size: float
    """Mean number of classes in a set of coverage 0.95."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "images": self.images,
            "classes": self.classes,
            "accuracy": self.accuracy,
            "interval": [self.interval.low, self.interval.high],
            "interval_over": "classes" if self.interval.classes else "images",
            "guessing": self.guessing,
            "unknown": self.unknown,
            "answered_accuracy": self.answered_accuracy,
            "set_size": self.set_size,
        }

    def sentence(self) -> str:
        """How it was made, for people."""
        return f"From {count(self.images, 'labeled image')}, each named by a classifier fitted without it. {self.interval.sentence()}"


def left_out(model: "ImageClassifier") -> LeftOutAnswers | None:
    """The left out images of a fitted model; None where every class has one image only."""
    scored, calibration = model.left_out(), model.calibration_
    if scored is None:
        return None
    probabilities = calibration.probabilities(scored.queries.scores)
    return LeftOutAnswers(
        items=np.array(model.support_.active)[scored.items.numpy()],
        given=scored.ways.numpy(),
        probabilities=probabilities.numpy(),
        unknown=calibration.unknown(scored.queries, model.unknown).numpy(),
        sizes=calibration.sets(probabilities, COVERAGE).sum(-1).numpy(),
    )


def estimate(images: LeftOutAnswers) -> Estimate:
    """What left out images say of new ones."""
    answered = ~images.unknown
    return Estimate(
        images=len(images),
        classes=len(np.unique(images.given)),
        accuracy=float(images.right.mean()),
        interval=accuracy_interval(images.right, images.given),
        guessing=1 / images.probabilities.shape[1],
        unknown=float(images.unknown.mean()),
        answered_accuracy=float(images.right[answered].mean()) if answered.any() else None,
        set_size=float(images.sizes.mean()),
    )


def accuracy_interval(right: Bool[np.ndarray, " image"], classes: Int64[np.ndarray, " image"]) -> Interval:
    """A 95 % interval of the fraction of right images.

    Images of a class share its other labeled images and its look, so they are right or wrong together. With enough classes, their number
    is reduced to that of independent images with the same variance (the design effect of a sample of clusters, never below 1; Korn and
    Graubard, Survey Methodology 1998), and Student's t with a degree of freedom less than classes replaces the normal quantile. The
    interval is Wilson's (JASA 1927) in both cases: it stays within 0 and 1 and has a width where all images are right.
    """
    number, accuracy = len(right), float(right.mean())
    own = np.unique(classes)
    if len(own) < MIN_CLUSTERS:
        return Interval(**_wilson(accuracy, float(number), 1.959964), classes=0)
    residuals = np.array([(right[classes == one] - accuracy).sum() for one in own])
    variance = len(own) / (len(own) - 1) * float((residuals**2).sum()) / number**2
    independent = accuracy * (1 - accuracy) / number
    effect = max(variance / independent, 1.0) if independent > 0 else 1.0
    return Interval(**_wilson(accuracy, number / effect, float(student.ppf(LEVEL, len(own) - 1))), classes=len(own))


def _wilson(fraction: float, number: float, quantile: float) -> dict[str, float]:
    square = quantile**2 / number
    center = (fraction + square / 2) / (1 + square)
    half = quantile / (1 + square) * math.sqrt(fraction * (1 - fraction) / number + square / (4 * number))
    # Of none or all, an end is exactly 0 or 1, which rounding must not miss.
    return {"low": max(center - half, 0.0) if fraction > 0 else 0.0, "high": min(center + half, 1.0) if fraction < 1 else 1.0}
