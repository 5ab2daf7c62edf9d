"""Features of anybody's: NumPy's `.npz` or our `.safetensors`, checked as what is not our own must be."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from s2m2.errors import InputError
from s2m2.evaluation.features import FeatureSet, fingerprint_of, load_features, save_features
from s2m2.files import replacing

ENDINGS = (".npz", ".safetensors")
"""Of the files that features are read from and written to."""


def read_feature_file(path: Path) -> FeatureSet:
    """The features and labels of a file.

    A `.npz` file holds the arrays `features` ("row dim", real numbers), `labels` (one a row: whole numbers or text) and, if wanted,
    `class_names` (text, which the labels number from 0 or name). A `.safetensors` file is one that `save_features` wrote.

    Raises:
        InputError: the file is missing or damaged, lacks an array, or holds what no classifier could be scored on.
    """
    if not path.is_file():
        raise InputError(f"no feature file {path}")
    if path.suffix not in ENDINGS:
        raise InputError(f"{path} is no feature file: its name must end in {' or '.join(ENDINGS)}; `s2m2 import` makes one of others")
    try:
        return _read_npz(path) if path.suffix == ".npz" else _read_safetensors(path)
    except InputError as error:
        raise InputError(f"{path} {error}") from error


def write_feature_file(path: Path, dataset: FeatureSet) -> None:
    """Write features so that `read_feature_file` reads them, in the format that the name ends in, whole or not at all."""
    if path.suffix == ".safetensors":
        save_features(path, dataset)
        return
    with replacing(path) as temporary, temporary.open("wb") as file:
        names = np.array(dataset.class_names)
        np.savez(file, features=dataset.features.numpy(), labels=dataset.labels.numpy(), class_names=names)


def feature_table(features: Any, labels: Any, class_names: Any = None) -> FeatureSet:
    """A dataset of arrays: `features` "row dim", `labels` " row", and names of the classes, without which the labels themselves are names.

    Raises:
        InputError: arrays of another form, of lengths that differ, without two classes, or with numbers that are not finite. The
            message says what is wrong, but not with which file.
    """
    values, given = np.asarray(features), np.asarray(labels)
    if values.dtype.kind not in "fiu" or values.ndim != 2 or values.size == 0:
        raise InputError(f"has features of shape {values.shape} and type {values.dtype}, not real numbers in rows and columns")
    if given.dtype.kind not in "iuUS" or given.ndim != 1:
        raise InputError(f"has labels of shape {given.shape} and type {given.dtype}, not one whole number or text a row")
    if len(values) != len(given):
        raise InputError(f"has {len(values):,} rows of features, but {len(given):,} labels")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is found next
        values = values.astype(np.float32)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise InputError(f"has features that are not finite, first in row {int(np.flatnonzero(~finite)[0])} (counted from 0)")
    names, numbers = _classes(given, class_names)
    if len(np.unique(numbers)) < 2:
        raise InputError("has a single class; tasks need two at least")
    content = {"features": torch.from_numpy(values), "labels": torch.from_numpy(numbers)}
    rows = torch.arange(len(values))
    return FeatureSet(**content, rows=rows, class_names=names, fingerprint=fingerprint_of(content, "features of a file", *names))


def classes_digest(dataset: FeatureSet) -> str:
    """SHA-256, hexadecimal, over labels and class names: what tasks are drawn from, whichever network made the features."""
    return fingerprint_of({"labels": dataset.labels}, "classes of rows", *dataset.class_names)


def _classes(labels: np.ndarray, class_names: Any) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the classes, and the number of each row's."""
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if class_names is None:
        known, numbers = np.unique(labels, return_inverse=True)
        return tuple(map(str, known.tolist())), numbers.astype(np.int64)
    given = np.asarray(class_names)
    if given.dtype.kind != "U" or given.ndim != 1 or len(np.unique(given)) != len(given):
        raise InputError(f"has class_names of shape {given.shape} and type {given.dtype}, not one text a class, each another")
    names = tuple(given.tolist())
    if labels.dtype.kind == "U":
        places = {name: number for number, name in enumerate(names)}
        for name in np.unique(labels).tolist():
            if name not in places:
                raise InputError(f"has the label {name!r}, which class_names does not have")
        return names, np.array([places[name] for name in labels.tolist()], dtype=np.int64)
    if labels.min() < 0 or labels.max() >= len(names):
        raise InputError(f"has labels from {labels.min()} to {labels.max()}, but {len(names)} class_names")
    return names, labels.astype(np.int64)


def _read_npz(path: Path) -> FeatureSet:
    arrays: dict[str, np.ndarray] = {}
    try:
        with path.open("rb") as file:
            stored = np.load(file, allow_pickle=False)
            if isinstance(stored, np.ndarray):
                raise InputError("holds a single array without a name; `numpy.savez` writes features and labels under their names")
            for name in ("features", "labels", "class_names"):
                if name in stored.files:
                    arrays[name] = stored[name]
    except InputError:
        raise
    except ValueError as error:
        reason = "holds Python objects, which are not read" if "allow_pickle" in str(error) else "is no .npz file, or is damaged"
        raise InputError(reason) from error
    except Exception as error:  # What a damaged archive raises depends on where it is damaged.
        raise InputError("is no .npz file, or is damaged or cut short") from error
    for name in ("features", "labels"):
        if name not in arrays:
            raise InputError(f"has no array {name}")
    return feature_table(arrays["features"], arrays["labels"], arrays.get("class_names"))


def _read_safetensors(path: Path) -> FeatureSet:
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise InputError("is no .safetensors file, or is damaged or cut short") from error
    dataset = load_features(path, metadata.get("fingerprint", ""))
    if dataset is None:
        raise InputError("is damaged, or holds no features that this package wrote")
    feature_table(dataset.features.numpy(), dataset.labels.numpy(), json.loads(metadata["class_names"]))  # for its checks
    return dataset
