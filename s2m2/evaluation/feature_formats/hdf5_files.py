"""HDF5 files with features and labels under any names (extra `hdf5`)."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from s2m2.errors import InputError
from s2m2.evaluation.feature_formats.contents import Contents, StoredArray, check_declared

MAX_DEPTH, MAX_ENTRIES = 8, 1000
"""Of groups in groups, and of what is listed."""


def read_hdf5(path: Path) -> Contents:
    """The datasets of all groups."""
    try:
        import h5py
    except ImportError as error:
        raise InputError("is an HDF5 file, which takes the extra hdf5: pip install 's2m2[hdf5]'") from error
    arrays: dict[str, StoredArray] = {}
    others: list[str] = []
    with h5py.File(path, "r") as stored:
        _list(path, stored, "", arrays, others)
    return Contents(arrays=arrays, others=others)


def _list(path: Path, group: Any, prefix: str, arrays: dict[str, StoredArray], others: list[str]) -> None:
    import h5py

    for key in group:
        name = f"{prefix}{key}"
        if len(arrays) + len(others) >= MAX_ENTRIES:
            return
        # A link or a virtual dataset could lead to another file, and a link to a group around it.
        entry = group[key] if isinstance(group.get(key, getlink=True), h5py.HardLink) else None
        if isinstance(entry, h5py.Dataset):
            arrays[name] = _described(path, entry, name)
        elif isinstance(entry, h5py.Group) and prefix.count("/") < MAX_DEPTH:
            _list(path, entry, f"{name}/", arrays, others)
        else:
            others.append(f"{name} ({'a link, which is not followed' if entry is None else type(entry).__name__})")


def _described(path: Path, entry: Any, name: str) -> StoredArray:
    import h5py

    text = h5py.check_string_dtype(entry.dtype)
    kind = "U" if text is not None else {"b": "i", "S": "U"}.get(entry.dtype.kind, entry.dtype.kind)
    type_name, shape = "text" if text is not None else str(entry.dtype), tuple(entry.shape or ())
    load = partial(_load, path, name)
    if entry.shape is None or kind not in "fiuU":
        return StoredArray(shape=shape, type=type_name, kind="O", load=load, advice=", which is not read")
    if entry.is_virtual or entry.external:
        return StoredArray(shape=shape, type=type_name, kind="O", load=load, advice=" in another file, which is not followed")
    check_declared(path, entry.size * entry.dtype.itemsize)
    return StoredArray(shape=shape, type=type_name, kind=kind, load=load)


def _load(path: Path, name: str) -> np.ndarray:
    import h5py

    with h5py.File(path, "r") as stored:
        entry = stored[name]
        return np.asarray(entry.asstr(errors="replace")[()] if h5py.check_string_dtype(entry.dtype) is not None else entry[()])
