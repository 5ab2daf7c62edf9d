"""A few-shot classifier fitted to labeled images, with what its scores are worth: a value that never changes."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from s2m2.classifiers.base import FewShotClassifier
from s2m2.errors import InputError
from s2m2.recognition.calibrating import Calibration, calibrate
from s2m2.recognition.class_names import Label
from s2m2.recognition.leaving_out import LeftOut, QueryScores, closeness, leave_out
from s2m2.recognition.reference import Reference
from s2m2.recognition.support import Support
from s2m2.threads import one_thread


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What a fitted model says of some images, in order."""

    probabilities: Float64[np.ndarray, "image class"]
    """Calibrated probability of each class, in the order of `classes`."""
    classes: tuple[Label, ...]
    unknown: np.ndarray
    """Whether an image is probably of none of the classes, bool " image"."""

    def labels(self) -> np.ndarray:
        """The most probable class of each image, None where it is unknown."""
        best = np.array([*self.classes], dtype=object)[self.probabilities.argmax(-1)]
        best[self.unknown] = None
        return best


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """The labeled images, the classifier and its calibration."""

    support: Support
    classifier: FewShotClassifier
    calibration: Calibration
    seed: int
    """Of the folds in which images are left out."""

    @cached_property
    def classes(self) -> list[Label]:
        """In the order of the classifier's ways."""
        return self.support.classes()

    @cached_property
    def left_out(self) -> LeftOut | None:
        """Labeled images scored without themselves; None: every class has one image."""
        with one_thread():
            return leave_out(*labeled(self.support), self.classifier, self.seed)

    def query_scores(self, features: Float32[Tensor, "image dim"]) -> QueryScores:
        """Scores of features before calibration, and how close they are to the classes."""
        scores = self.classifier.query_scores(features).double()
        return QueryScores(scores=scores, closeness=closeness(replace(self.classifier.support_, query=features[None]))[0])

    def answers(self, features: Float32[Tensor, "image dim"], unknown: float) -> Answers:
        """Probabilities and "none of these" of features.

        Args:
            unknown: fraction of images of the classes that may be turned away.
        """
        queries = self.query_scores(features)
        return Answers(
            probabilities=self.calibration.probabilities(queries.scores).numpy(),
            classes=tuple(self.classes),
            unknown=self.calibration.unknown(queries, unknown).numpy(),
        )

    def sets(self, probabilities: Float64[np.ndarray, "image class"], coverage: float) -> list[tuple[Label, ...]]:
        """Conformal sets of probabilities, the most probable class first."""
        members = self.calibration.sets(torch.from_numpy(probabilities), coverage).numpy()
        order = (-probabilities).argsort(axis=-1, kind="stable")
        return [tuple(self.classes[way] for way in row if inside[way]) for row, inside in zip(order, members, strict=True)]


def labeled(support: Support) -> tuple[Float32[Tensor, "labeled dim"], Tensor]:
    """Features and classes, " labeled", of the items that have a label."""
    return support.features[support.active], torch.tensor(support.ways)[support.active]


def fit_calibrated(support: Support, classifier: FewShotClassifier, calibration: Calibration, seed: int) -> Fitted:
    """Fit a classifier whose calibration is known."""
    with one_thread():  # thousands of small operations
        classifier.fit(*labeled(support))
    return Fitted(support=support, classifier=classifier, calibration=calibration, seed=seed)


def fit_and_calibrate(support: Support, classifier: FewShotClassifier, reference: Reference | None, seed: int) -> Fitted:
    """Fit a classifier and calibrate it.

    Raises:
        InputError: the reference has other features than the images.
    """
    features, ways = labeled(support)
    if reference is not None and reference.features.shape[1] != features.shape[1]:
        raise InputError(f"reference has {reference.features.shape[1]} features an image, but there are {features.shape[1]} of X")
    with one_thread():
        classifier.fit(features, ways)
        left_out = leave_out(features, ways, classifier, seed)
        calibration = calibrate(torch.bincount(ways), classifier, reference, left_out, seed)
    fitted = Fitted(support=support, classifier=classifier, calibration=calibration, seed=seed)
    vars(fitted)["left_out"] = left_out  # computed already
    return fitted
