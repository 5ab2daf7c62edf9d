"""`.npz` archives, and `.npy` files of features with a file of labels beside them. Object arrays, which are pickles, are never read."""

import math
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy

from s2m2.archives import archive_fault
from s2m2.errors import InputError
from s2m2.evaluation.feature_formats.contents import Contents, StoredArray

OBJECTS = ", which are pickled and not read; save it with .astype(str), .astype(int) or .astype(float)"
PAIRS = (("features", "labels"), ("feats", "labels"), ("feat", "label"), ("embeddings", "labels"), ("X", "y"), ("x", "y"))
"""What stands in the name of a file of features, and in that of its labels."""
LABEL_FILES = ("labels.npy", "y.npy", "targets.npy")


def read_npz(path: Path) -> Contents:
    """The arrays of an archive."""
    arrays, others = {}, []
    if fault := archive_fault(path):
        raise InputError(fault)
    with ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                others.append(member.filename)
                continue
            with archive.open(member) as file:
                load = partial(_load_member, path, member.filename)
                arrays[member.filename.removesuffix(".npy")] = _described(file, member.file_size, load)
    return Contents(arrays=arrays, others=others)


def read_npy(path: Path) -> Contents:
    """An array of features, and the labels beside it."""
    labels = _labels_beside(path)
    arrays = {one.name: _described_file(one) for one in (path, labels) if one is not None}
    if labels is None and len(arrays[path.name].shape) == 2:
        beside = next((path.name.replace(old, new) for old, new in PAIRS if old in path.stem), LABEL_FILES[0])
        raise InputError(f"has features alone, {arrays[path.name]}; their labels are to lie beside it, as {beside}")
    return Contents(arrays=arrays, features=path.name, labels=labels.name if labels is not None else None)


def read_npy_values(path: Path) -> Contents:
    """An array of features, without labels."""
    return Contents(arrays={path.name: _described_file(path)}, features=path.name)


def _labels_beside(path: Path) -> Path | None:
    names = [path.name.replace(old, new) for old, new in PAIRS if old in path.stem]
    return next((one for name in (*names, *LABEL_FILES) if (one := path.with_name(name)).is_file() and one != path), None)


def _described_file(path: Path) -> StoredArray:
    with path.open("rb") as file:
        return _described(file, path.stat().st_size, partial(np.load, path, allow_pickle=False))


def _described(file: Any, size: int, load: Any) -> StoredArray:
    """An array by its header.

    Args:
        size: bytes of header and array.
    """
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"an array of version {version}")
    shape, _, dtype = npy.read_array_header_1_0(file) if version == (1, 0) else npy.read_array_header_2_0(file)
    if dtype.kind == "O":
        return StoredArray(shape=shape, type="Python objects", kind="O", load=load, advice=OBJECTS)
    if any(length < 0 for length in shape) or math.prod(shape) * dtype.itemsize > size:
        raise ValueError("an array that is longer than its file")
    kind = {"S": "U", "b": "i"}.get(dtype.kind, dtype.kind)
    return StoredArray(shape=shape, type=str(dtype), kind=kind if kind in "fiuU" else "O", load=load)


def _load_member(path: Path, name: str) -> np.ndarray:
    with ZipFile(path) as archive, archive.open(name) as file:
        values: np.ndarray = npy.read_array(file, allow_pickle=False)
        return values
