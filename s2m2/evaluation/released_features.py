"""Feature files as S2M2's authors and others of their line released them: HDF5, or a pickled dict of lists of vectors."""

from pathlib import Path
from typing import Any

import numpy as np

from s2m2.data.sources.unpickling import read_pickle
from s2m2.errors import InputError
from s2m2.evaluation.feature_files import feature_table
from s2m2.evaluation.features import FeatureSet

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def read_released_features(path: Path) -> FeatureSet:
    """The features of an HDF5 file (`all_feats`, `all_labels`, `count`) or of a pickled dict from a label to a list of vectors.

    Rows from `count` on are padding and dropped. Classes are named by their labels.

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
        return feature_table(*arrays)
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
    except Exception as error:  # What h5py raises for a damaged file depends on where it is damaged.
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
