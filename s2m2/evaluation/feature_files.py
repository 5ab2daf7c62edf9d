"""Feature files of users: `.npz`, our `.safetensors`, and those that S2M2's authors and others released. Everything is checked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from s2m2.archives import archive_fault
from s2m2.data.sources.unpickling import read_pickle
from s2m2.errors import InputError
from s2m2.evaluation.features import FeatureSet, load_features, save_features
from s2m2.io import replace_file
from s2m2.runs.checkpoint import fingerprint_of
from s2m2.tasks.labels import as_array, label_array

ENDINGS = (".npz", ".safetensors")
"""Of feature files that are read and written."""
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def read_feature_file(path: Path) -> FeatureSet:
    """The features and labels of a file.

    A `.npz` file holds the arrays `features` ("image dim", real numbers), `labels` (a whole number or text per image) and
    optionally `class_names` (text; labels are numbers from 0 or names). A `.safetensors` file is one that `save_features` wrote.

    Raises:
        InputError: the file is missing or damaged, lacks an array, or its arrays cannot be scored.
    """
    if not path.is_file():
        raise InputError(f"no feature file {path}")
    if path.suffix not in ENDINGS:
        raise InputError(f"{path} is no feature file: its name must end in {' or '.join(ENDINGS)}; `s2m2 import` makes one of others")
    try:
        return _read_npz(path) if path.suffix == ".npz" else _read_safetensors(path)
    except InputError as error:
        raise InputError(f"{path} {error}") from error


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
    values = _has(as_array, features, names[0])
    if values.dtype.kind not in "fiu" or values.ndim != 2 or values.size == 0:
        raise InputError(f"has {names[0]} of shape {values.shape} and type {values.dtype}, not real numbers in rows and columns")
    label_values = _has(label_array, labels, names[1])
    if len(values) != len(label_values):
        raise InputError(f"has {len(values):,} rows of {names[0]}, but {len(label_values):,} {names[1]}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is found next
        values = values.astype(np.float32)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise InputError(f"has {names[0]} that are not finite, first in row {int(np.flatnonzero(~finite)[0])} (counted from 0)")
    class_labels, numbers = _classes(label_values, class_names)
    if len(np.unique(numbers)) < 2:
        raise InputError(f"has a single class in {names[1]}; tasks need two at least")
    content = {"features": torch.from_numpy(values), "labels": torch.from_numpy(numbers)}
    fingerprint = fingerprint_of(content, "features of a file", *class_labels)
    return FeatureSet(**content, indices=torch.arange(len(values)), class_names=class_labels, fingerprint=fingerprint)


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


def _read_npz(path: Path) -> FeatureSet:
    arrays: dict[str, np.ndarray] = {}
    if fault := archive_fault(path):
        raise InputError(fault)
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
    except Exception as error:  # the kind depends on where the archive is damaged
        raise InputError("is no .npz file, or is damaged or cut short") from error
    for name in ("features", "labels"):
        if name not in arrays:
            raise InputError(f"has no array {name}")
    return feature_set(arrays["features"], arrays["labels"], arrays.get("class_names"))


def _read_safetensors(path: Path) -> FeatureSet:
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise InputError("is no .safetensors file, or is damaged or cut short") from error
    features = load_features(path, metadata.get("fingerprint", ""))
    if features is None:
        raise InputError("is damaged, or holds no features that this package wrote")
    feature_set(features.features.numpy(), features.labels.numpy(), json.loads(metadata["class_names"]))  # for its checks
    return features


def read_released_features(path: Path) -> FeatureSet:
    """The features of an HDF5 file (`all_feats`, `all_labels`, `count`) or of a pickled dict from a label to a list of vectors.

    Rows from `count` on are padding and dropped. Class names are the labels.

    Raises:
        InputError: the file cannot be read, holds something else, or the extra `hdf5` is not installed.
    """
    try:
        with path.open("rb") as file:
            hdf5 = file.read(len(HDF5_MAGIC)) == HDF5_MAGIC
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    arrays = _read_hdf5(path) if hdf5 else _read_dict(path)
    try:
        return feature_set(*arrays)
    except InputError as error:
        raise InputError(f"{path} {error}") from error


def _read_hdf5(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path} is an HDF5 file, which takes the extra hdf5: pip install 's2m2[hdf5]'") from error
    try:
        with h5py.File(path, "r") as stored:
            arrays = {name: _dataset(stored, name) for name in ("all_feats", "all_labels", "count")}
    except InputError as error:
        raise InputError(f"{path} {error}") from error
    except Exception as error:  # the kind depends on where the file is damaged
        raise InputError(f"{path} is damaged or cut short") from error
    features, labels, count = arrays["all_feats"], arrays["all_labels"], arrays["count"]
    rows = int(count.ravel()[0]) if count is not None and count.size == 1 and count.dtype.kind in "iu" else None
    if features is None or labels is None or rows is None:
        missing = [name for name, value in (("all_feats", features), ("all_labels", labels), ("count", rows)) if value is None]
        raise InputError(f"{path} has no {' and no '.join(missing)} as released feature files have")
    if not 0 < rows <= min(len(features), len(labels)):
        raise InputError(f"{path} states a count of {rows:,}, but has {len(features):,} rows of features and {len(labels):,} labels")
    return features[:rows], labels[:rows]


def _dataset(stored: Any, name: str) -> np.ndarray | None:
    import h5py

    # A link or a virtual dataset could lead to another file.
    link = stored.get(name, getlink=True)
    entry = stored.get(name) if isinstance(link, h5py.HardLink) else None
    if not isinstance(entry, h5py.Dataset):
        return None
    if entry.is_virtual or entry.external:
        raise InputError(f"keeps {name} in another file, which is not followed")
    return np.asarray(entry[()]) if entry.dtype.kind in "fiu" and (entry.ndim > 0 or name == "count") else None


def _read_dict(path: Path) -> tuple[np.ndarray, np.ndarray]:
    content = read_pickle(path)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} holds no dict from labels to lists of vectors")
    parts: list[np.ndarray] = []
    labels: list[int | str] = []
    for label, vectors in content.items():
        try:
            part = np.asarray(vectors)
        except ValueError as error:
            raise InputError(f"{path} has vectors of different lengths under the label {label!r}") from error
        if part.ndim != 2 or part.dtype.kind not in "fiu" or not part.size:
            raise InputError(f"{path} has no list of vectors under the label {label!r}")
        if parts and part.shape[1] != parts[0].shape[1]:
            raise InputError(f"{path} has vectors of {parts[0].shape[1]} numbers, but of {part.shape[1]} under the label {label!r}")
        parts.append(part)
        labels += [_label(path, label)] * len(part)
    if len({isinstance(label, str) for label in labels}) > 1:
        raise InputError(f"{path} has labels that are numbers and labels that are text")
    return np.concatenate(parts), np.array(labels)


def _label(path: Path, label: object) -> int | str:
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return int(label)
    if isinstance(label, str):
        return label
    if isinstance(label, int | np.integer) and not isinstance(label, bool):
        return int(label)
    raise InputError(f"{path} has the label {label!r}, which is neither a whole number nor text")
