"""Entries of pickled dicts, checked for their type; Python 2 and `encoding="bytes"` leave keys and texts as bytes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from s2m2.data.decode import Extent, StoredImage
from s2m2.data.sources.unpickling import offset_in_file, read_pickle
from s2m2.errors import InputError


def dict_in(path: Path) -> dict[str, Any]:
    """The dict in a pickle, its keys as text.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, not a dict")
    return {text(key): value for key, value in content.items()}


def array_in(content: Mapping[str, Any], key: str, path: Path) -> np.ndarray:
    """An entry that is an array.

    Raises:
        InputError: it is missing or something else.
    """
    value = _entry(content, key, path)
    if not isinstance(value, np.ndarray):
        raise InputError(f"{path}: {key} is a {type(value).__name__}, not an array")
    return value


def list_in(content: Mapping[str, Any], key: str, path: Path) -> list[int]:
    """An entry that is a list or an array of whole numbers.

    Raises:
        InputError: it is missing or something else.
    """
    return whole_numbers(_entry(content, key, path), f"{path}: {key}")


def texts_in(content: Mapping[str, Any], key: str, path: Path) -> list[str]:
    """An entry that is a list of texts.

    Raises:
        InputError: it is missing or something else.
    """
    value = _entry(content, key, path)
    if not isinstance(value, list | tuple | np.ndarray) or not all(isinstance(item, str | bytes) for item in value):
        raise InputError(f"{path}: {key} is no list of names")
    return [text(item) for item in value]


def image_in(path: Path, index: int, content: np.ndarray | bytes) -> StoredImage:
    """An image in a pickle, left in the file if its raw bytes are there."""
    start = offset_in_file(content) if isinstance(content, np.ndarray) else None
    extent = content if start is None or not isinstance(content, np.ndarray) else Extent(start=start, shape=content.shape)
    return StoredImage(archive=path, index=index, content=extent)


def whole_numbers(value: object, what: str) -> list[int]:
    """A list or an array of whole numbers, as a list.

    Raises:
        InputError: it is something else.
    """
    # NumPy must not unfold nested lists: a few bytes of a pickle can stand for more of them than memory holds.
    flat = isinstance(value, list | tuple) and all(isinstance(item, int | np.integer) for item in value)
    array = np.asarray(value) if flat or isinstance(value, np.ndarray) else None
    if array is None or array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise InputError(f"{what} is no list of whole numbers")
    return [int(number) for number in array.tolist()]


def text(value: Any) -> str:
    """Text, also of Python 2, whose bytes are read as Latin-1 and are often UTF-8."""
    try:
        return (value if isinstance(value, bytes) else str(value).encode("latin1")).decode()
    except UnicodeError:
        return value.decode("latin1") if isinstance(value, bytes) else str(value)


def _entry(content: Mapping[str, Any], key: str, path: Path) -> Any:
    if key not in content:
        raise InputError(f"{path} has no entry {key}, but {', '.join(sorted(content)[:5]) or 'none'}")
    return content[key]
