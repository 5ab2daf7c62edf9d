"""Predictions for a stream of images of any length, in batches: what each row of a file of predictions says, and a batch of Ray Data."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from s2m2.errors import InputError
from s2m2.evaluation.feature_files import read_feature_values
from s2m2.recognition.class_names import Label
from s2m2.recognition.classifier import ImageClassifier
from s2m2.recognition.extractors import FEATURES
from s2m2.recognition.fitted import Answers
from s2m2.recognition.read_ahead import ReadImage

COVERAGE = 0.95
"""Probability that the alternatives have the class of an image."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """What a model says of some images, in order."""

    files: tuple[str, ...]
    errors: tuple[str, ...]
    """Why an image could not be read, empty for the others."""
    readable: tuple[int, ...]
    """Positions of the images that could be read; the following is of these alone, in this order."""
    answers: Answers
    alternatives: tuple[tuple[Label, ...], ...]
    """Classes that an image may be, the most probable first."""
    nearest: tuple[str, ...]
    """Name of the labeled image with the greatest cosine."""
    features: Float32[Tensor, "readable dim"]
    thumbnails: tuple[bytes, ...]
    """A small JPEG of each image where asked for, else empty."""

    @property
    def unreadable(self) -> list[str]:
        """Reasons of the images that could not be read."""
        return [error for error in self.errors if error]


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureRow:
    """Features of one's own in place of an image."""

    name: str
    values: Float32[Tensor, " dim"]


def predictions(
    model: ImageClassifier, photos: Iterable[Any], coverage: float = COVERAGE, *, thumbnails: bool = False
) -> Iterator[Predictions]:
    """Predictions batch by batch; the next images are read meanwhile, and one that cannot be read stops nothing.

    Args:
        photos: paths, or images as `ImageClassifier.predict` takes them; `FeatureRow` where the backbone is `features`.
        coverage: probability that the alternatives have the class of an image.
        thumbnails: with small JPEGs of the images.

    Raises:
        InputError: the coverage is not above 0 and below 1, or the backbone cannot be loaded.
    """
    if model.backbone == FEATURES:
        stream = iter(photos)
        while rows := list(islice(stream, model.batch_size)):
            features = torch.stack([row.values for row in rows])
            blank = [ReadImage(name=row.name, values=None) for row in rows]
            yield _predictions(model, coverage, blank, features)
        return
    for batch in model.feature_batches(photos, keep=thumbnails):
        yield _predictions(model, coverage, batch.images, batch.features)


def _predictions(
    model: ImageClassifier,
    coverage: float,
    images: Sequence[ReadImage],
    features: Float32[Tensor, "readable dim"],
) -> Predictions:
    classes, support = tuple(model.classes_.tolist()), model.support_
    if len(features):
        answers = model.answers_of(features)
    else:
        answers = Answers(probabilities=np.empty((0, len(classes))), classes=classes, unknown=np.empty(0, dtype=bool))
    return Predictions(
        files=tuple(image.name for image in images),
        errors=tuple(image.reason for image in images),
        readable=tuple(position for position, image in enumerate(images) if not image.reason),
        answers=answers,
        alternatives=tuple(model.sets(answers.probabilities, coverage)),
        nearest=tuple(support.names[item] for (item,) in support.nearest(features)),
        features=features,
        thumbnails=tuple(image.thumbnail for image in images),
    )


def stored_rows(files: Iterable[Path], dim: int) -> Iterator[FeatureRow]:
    """The rows of feature files of any format of `read_feature_file`; labels are not needed.

    Raises:
        InputError: a file is missing or damaged, or its features are of another number or not finite.
    """
    for file in files:
        values = read_feature_values(file)
        if values.shape[1] != dim:
            raise InputError(f"{file} has features of shape {values.shape}, but the model was fitted to {dim} numbers an image")
        for number, row in enumerate(torch.from_numpy(values)):
            yield FeatureRow(name=f"{file}[{number}]", values=row)


def predict_batch(model: ImageClassifier, batch: Mapping[str, Any], coverage: float = COVERAGE) -> dict[str, Any]:
    """Predictions of a batch in the form of Ray Data's `map_batches` (`batch_format="numpy"`).

    Args:
        batch: images, uint8 "height width 3" each, under `image`; other columns are kept.

    Returns:
        The other columns, and of each image `label` (None: unknown), `probability`, `unknown`, `alternatives`, `nearest` and `error`.

    Raises:
        InputError: the batch has no column `image`.
    """
    if "image" not in batch:
        raise InputError(f"the batch has no column image, but {', '.join(map(str, batch))}")
    rows = [row for part in predictions(model, list(batch["image"]), coverage) for row in rows_of(part)]
    texts = {name: np.array([row[name] for row in rows], dtype=object) for name in ("label", "nearest", "error")}
    return {name: values for name, values in batch.items() if name != "image"} | {
        **texts,
        "probability": np.array([row["probability"] for row in rows], dtype=float),  # not a number where an image could not be read
        "unknown": np.array([bool(row["unknown"]) for row in rows]),
        "alternatives": np.array(["; ".join(row["alternatives"]) for row in rows], dtype=object),
    }


def rows_of(part: Predictions) -> Iterator[dict[str, Any]]:
    """One row an image: file, label, probability, unknown, alternatives, nearest and error; None for what an unreadable image lacks."""
    labels, best = part.answers.labels(), part.answers.probabilities.max(-1, initial=0.0)
    positions = {position: number for number, position in enumerate(part.readable)}
    for position, (file, error) in enumerate(zip(part.files, part.errors, strict=True)):
        number = positions.get(position)
        if number is None:
            yield dict.fromkeys(("label", "probability", "unknown", "nearest")) | {"file": file, "alternatives": (), "error": error}
            continue
        yield {
            "file": file,
            "label": None if labels[number] is None else str(labels[number]),
            "probability": float(best[number]),
            "unknown": bool(part.answers.unknown[number]),
            "alternatives": tuple(map(str, part.alternatives[number])),
            "nearest": part.nearest[number],
            "error": None,
        }


class BatchPredictor:
    """A saved model as a class for `map_batches` of Ray Data, which loads it once in each of its processes.

    Example:
        >>> images = ray.data.read_images("photos/", include_paths=True, mode="RGB")
        >>> images.map_batches(BatchPredictor, fn_constructor_args=["models/birds"], concurrency=2, batch_size=64)
    """

    def __init__(self, folder: str | Path, coverage: float = COVERAGE, device: str | None = None, *, trust_code: bool = False) -> None:
        self.model, self.coverage = ImageClassifier.load(folder, device=device, trust_code=trust_code), coverage

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """`predict_batch` of this model."""
        return predict_batch(self.model, batch, self.coverage)
