"""Feature files of users: read in the formats of `feature_formats`, written as `.npz` or `.safetensors`. Everything is checked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from s2m2.errors import InputError
from s2m2.evaluation.feature_formats import format_of, guarded, read_contents
from s2m2.evaluation.feature_formats.contents import Contents, choose
from s2m2.evaluation.features import FeatureSet, load_features, save_features
from s2m2.io import parse_json, replace_file
from s2m2.runs.checkpoint import fingerprint_of
from s2m2.tasks.labels import as_array, label_array

ENDINGS = (".npz", ".safetensors")
"""Of feature files that are written."""


def read_feature_file(path: Path) -> FeatureSet:
    """The features and labels of a file of any format of `feature_formats`, told by its first bytes.

    Features are real numbers, "image dim", labels a whole number or text an image, and `class_names` optionally text (labels are
    numbers from 0 or names). Arrays are found by their names, else by their shapes. Class names of other files are the labels.

    Raises:
        InputError: the file is missing or damaged, or its arrays cannot be told apart or scored. The message says what it holds.
    """
    with _of_file(path):
        if format_of(path) == ".safetensors file" and (own := _read_own(path)) is not None:
            return own
        contents = read_contents(path)
        with _holding(contents):
            with guarded("feature file"):
                chosen = choose(contents)
            return feature_set(chosen.features, chosen.labels, chosen.class_names)


def read_feature_values(path: Path) -> np.ndarray:
    """The features of a file alone, float32 "image dim"; it may have no labels.

    Raises:
        InputError: as `read_feature_file`.
    """
    with _of_file(path):
        contents = read_contents(path, with_labels=False)
        with _holding(contents):
            with guarded("feature file"):
                chosen = choose(contents, with_labels=False)
            return _real_rows(chosen.features, "features")


@contextmanager
def _of_file(path: Path) -> Iterator[None]:
    """Errors inside name the file."""
    if not path.is_file():
        raise InputError(f"no feature file {path}")
    try:
        yield
    except InputError as error:
        raise InputError(f"{path} {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


@contextmanager
def _holding(contents: Contents) -> Iterator[None]:
    """Errors inside say what the file holds."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{error}; it holds {contents}") from error


def write_feature_file(path: Path, features: FeatureSet) -> None:
    """Write features for `read_feature_file`, in the format of the name's ending, whole or not at all."""
    if path.suffix == ".safetensors":
        save_features(path, features)
        return
    with replace_file(path) as temporary, temporary.open("wb") as file:
        names = np.array(features.class_names)
        np.savez(file, features=features.features.numpy(), labels=features.labels.numpy(), class_names=names)


def feature_set(features: Any, labels: Any, class_names: Any = None, *, names: tuple[str, str] = ("features", "labels")) -> FeatureSet:
    """Features from arrays, tensors or lists.

    Args:
        features: "image dim", real numbers.
        labels: " image", whole numbers or text (`label_array`).
        class_names: text by class number; None: the labels themselves are the names.
        names: of the first two arguments, for messages.

    Raises:
        InputError: arrays of another form or of different lengths, fewer than two classes, or numbers that are not finite. The message
            states the fault after "has", without the file.
    """
    values = _real_rows(features, names[0])
    label_values = _has(label_array, labels, names[1])
    if len(values) != len(label_values):
        raise InputError(f"has {len(values):,} rows of {names[0]}, but {len(label_values):,} {names[1]}")
    class_labels, numbers = _classes(label_values, class_names)
    if len(np.unique(numbers)) < 2:
        raise InputError(f"has a single class in {names[1]}; tasks need two at least")
    content = {"features": torch.from_numpy(values), "labels": torch.from_numpy(numbers)}
    fingerprint = fingerprint_of(content, "features of a file", *class_labels)
    return FeatureSet(**content, indices=torch.arange(len(values)), class_names=class_labels, fingerprint=fingerprint)


def _real_rows(features: Any, name: str) -> np.ndarray:
    """Features as float32, "image dim"."""
    values = _has(as_array, features, name)
    if values.dtype.kind not in "fiu" or values.ndim != 2 or values.size == 0:
        raise InputError(f"has {name} of shape {values.shape} and type {values.dtype}, not real numbers in rows and columns")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is found next
        values = values.astype(np.float32)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise InputError(f"has {name} that are not finite, first in row {int(np.flatnonzero(~finite)[0])} (counted from 0)")
    return values


def classes_digest(features: FeatureSet) -> str:
    """SHA-256, hexadecimal, over labels and class names: the input of task sampling, independent of the network."""
    return fingerprint_of({"labels": features.labels}, "classes of rows", *features.class_names)


def _has(convert: Callable[[Any, str], np.ndarray], values: Any, name: str) -> np.ndarray:
    try:
        return convert(values, name)
    except InputError as error:
        raise InputError(f"has {error}") from error


def _classes(labels: np.ndarray, class_names: Any) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the classes, and the class number of each image."""
    if class_names is None:
        distinct, numbers = np.unique(labels, return_inverse=True)
        return tuple(map(str, distinct.tolist())), numbers.astype(np.int64)
    texts = np.asarray(class_names)
    if texts.dtype.kind != "U" or texts.ndim != 1 or len(np.unique(texts)) != len(texts):
        raise InputError(f"has class_names of shape {texts.shape} and type {texts.dtype}, not one distinct text a class")
    names = tuple(texts.tolist())
    if labels.dtype.kind == "U":
        positions = {name: number for number, name in enumerate(names)}
        for name in np.unique(labels).tolist():
            if name not in positions:
                raise InputError(f"has the label {name!r}, which class_names does not have")
        return names, np.array([positions[name] for name in labels.tolist()], dtype=np.int64)
    if labels.min() < 0 or labels.max() >= len(names):
        raise InputError(f"has labels from {labels.min()} to {labels.max()}, but {len(names)} class_names")
    return names, labels.astype(np.int64)


def _read_own(path: Path) -> FeatureSet | None:
    """Features that `save_features` wrote; None where another program wrote the file."""
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise InputError("is no .safetensors file, or is damaged or cut short") from error
    if "fingerprint" not in metadata:
        return None
    features = load_features(path, metadata["fingerprint"])
    if features is None:
        raise InputError("is damaged, or holds no features that this package wrote")
    feature_set(features.features.numpy(), features.labels.numpy(), parse_json(metadata["class_names"]))  # for its checks
    return features
