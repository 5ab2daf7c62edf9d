"""What the REST interface takes and gives, as JSON; the texts below the fields are its documentation."""

from typing import Annotated

from pydantic import BaseModel, Field

from s2m2.recognition.fitted import Answers
from s2m2.recognition.serving.limits import Limits
from s2m2.recognition.serving.recognizer import COVERAGE, Named
from s2m2.recognition.serving.shared_model import SharedModel, Snapshot

LabelField = str | int
Fraction = Annotated[float, Field(ge=0, le=1)]
MAX_THUMBNAILS = 24
"""Of a class."""


class Problem(BaseModel):
    """Why a request was not answered."""

    detail: str = Field(description="One line.")


class ClassProbability(BaseModel):
    """A class and how probable it is."""

    label: LabelField
    probability: Fraction


class Prediction(BaseModel):
    """What the model says of one photo, in the order of the request."""

    label: LabelField | None = Field(description="The most probable class; null where the photo is probably of none of the classes.")
    probability: Fraction | None = Field(description="Calibrated probability of the most probable class.")
    unknown: bool | None = Field(description="Whether the photo is probably of none of the classes.")
    set: list[LabelField] = Field(description=f"Classes that it may be; the right one is among them with probability {COVERAGE:g}.")
    probabilities: list[ClassProbability] = Field(description="The most probable classes first.")
    error: str | None = Field(default=None, description="Why the photo could not be read; everything else is null or empty then.")


class Predictions(BaseModel):
    """What the model says of the photos of a request."""

    predictions: list[Prediction]
    version: int = Field(description="Changes of the model since the server started.")


class ClassSummary(BaseModel):
    """A class of the model."""

    label: LabelField
    images: int = Field(description="Labeled images.")
    thumbnails: list[str] = Field(description="Small copies of some of them: /thumbnails/NAME.")


class RequestLimits(BaseModel):
    """What a request may have."""

    megabytes: float
    megapixels: float
    files: int


class Classes(BaseModel):
    """The model as it is now."""

    name: str
    classes: list[ClassSummary]
    last_change: str | None = Field(description="What undo would take back.")
    calibration: str = Field(description="What the probabilities are worth.")
    version: int = Field(description="Changes of the model since the server started.")
    limits: RequestLimits


class Change(BaseModel):
    """A change of the model."""

    version: int | None = Field(default=None, description="Of the model that is meant; if it has another one, nothing changes (409).")


class Rename(Change):
    """Another name for a class; that of another class merges the two."""

    label: LabelField
    name: str | int


class Remove(Change):
    """A class to forget."""

    label: LabelField


class Health(BaseModel):
    """That the server answers."""

    status: str = "ok"


def predictions_of(named: Named, top: int | None) -> Predictions:
    """The answer for the photos of a request.

    Args:
        top: classes with probabilities for each photo; None: all.
    """
    found = iter(_readable(named.answers, named.sets, top) if named.answers is not None else [])
    return Predictions(predictions=[_unreadable(reason) if reason else next(found) for reason in named.reasons], version=named.version)


def _unreadable(reason: str) -> Prediction:
    return Prediction(label=None, probability=None, unknown=None, set=[], probabilities=[], error=reason)


def _readable(answers: Answers, sets: tuple[tuple[LabelField, ...], ...], top: int | None) -> list[Prediction]:
    predictions = []
    for row, unknown, members in zip(answers.probabilities, answers.unknown.tolist(), sets, strict=True):
        order = (-row).argsort(kind="stable")[:top]
        ranked = [ClassProbability(label=answers.classes[way], probability=min(float(row[way]), 1.0)) for way in order]
        best = ranked[0]
        predictions.append(
            Prediction(
                label=None if unknown else best.label,
                probability=best.probability,
                unknown=unknown,
                set=list(members),
                probabilities=ranked,
            )
        )
    return predictions


def classes_of(shared: SharedModel, snapshot: Snapshot, limits: Limits) -> Classes:
    """The classes of a model, each with its newest thumbnails."""
    model = snapshot.model
    support = model.support_
    items: dict[LabelField, list[int]] = {label: [] for label in support.classes()}
    for item in support.active:
        label = support.labels[item]
        assert label is not None
        items[label].append(item)
    summaries = [
        ClassSummary(
            label=label,
            images=len(members),
            thumbnails=[support.digests[item] for item in reversed(members) if support.thumbnails[item]][:MAX_THUMBNAILS],
        )
        for label, members in items.items()
    ]
    return Classes(
        name=shared.folder.resolve().name,
        classes=summaries,
        last_change=snapshot.last_change,
        calibration=model.calibration_.sentence(model.unknown),
        version=snapshot.version,
        limits=RequestLimits(megabytes=limits.max_bytes / 1e6, megapixels=limits.max_pixels / 1e6, files=limits.max_files),
    )
