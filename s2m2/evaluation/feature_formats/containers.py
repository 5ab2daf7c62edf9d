"""Features and labels in plain containers, as torch files and pickles hold them: under names, as a pair, or as vectors by label."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from s2m2.errors import InputError
from s2m2.evaluation.feature_formats.contents import FEATURES, LABELS, Contents, StoredArray, check_declared
from s2m2.tasks.labels import as_array

MAX_DEPTH, MAX_NAMES = 3, 1000
"""Of dicts in dicts, and of the names in them."""
SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "base", "novel", "query", "support"})
"""Names of parts of a dataset, which are no classes."""


def contents_of(path: Path, value: Any) -> Contents:
    """The arrays of a dict, or of a pair of features and labels."""
    if isinstance(value, dict):
        if _is_by_class(value):
            return _by_class(path, value)
        return _named(path, value)
    if isinstance(value, tuple | list) and len(value) == 2:
        first, second = (_stored(path, one) for one in value)
        if first.is_real and first.shape and second.shape:
            return Contents(arrays={"first": first, "second": second}, features="first", labels="second")
    if isinstance(value, Tensor | np.ndarray):
        return Contents(arrays={"one array": _stored(path, value)}, features="one array")
    return Contents(arrays={}, others=[_kind_of(value)])


def _named(path: Path, value: Mapping[Any, Any]) -> Contents:
    arrays, others = {}, []
    for number, (name, item) in enumerate(_flat(value)):
        if number == MAX_NAMES:
            others.append(f"more than {MAX_NAMES:,} entries")
            break
        one = _stored(path, item)
        if one.kind == "O" and not isinstance(item, Tensor | np.ndarray):
            others.append(f"{name} ({_kind_of(item)})")
        else:
            arrays[name] = one
    return Contents(arrays=arrays, others=others)


def _flat(value: Mapping[Any, Any], prefix: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        name = f"{prefix}{key}" if isinstance(key, str | int | float) else f"{prefix}{type(key).__name__}"
        if isinstance(item, dict) and depth < MAX_DEPTH:
            yield from _flat(item, f"{name}/", depth + 1)
        else:
            yield name, item


def _stored(path: Path, value: Any) -> StoredArray:
    """A value as an array; `kind` is O where it is none."""
    if isinstance(value, Tensor):
        return _stored_tensor(path, value)
    if isinstance(value, np.ndarray):
        kind = {"S": "U", "b": "i"}.get(value.dtype.kind, value.dtype.kind)
        return StoredArray(shape=value.shape, type=str(value.dtype), kind=kind if kind in "fiuU" else "O", load=lambda: value)
    if isinstance(value, list | tuple) and value:
        return _stored_list(path, value)
    other = StoredArray(shape=(), type=_kind_of(value), kind="O", load=lambda: value)
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return StoredArray(shape=(), type="int", kind="i", load=lambda: np.array(value)) if whole else other


def _stored_tensor(path: Path, value: Tensor) -> StoredArray:
    shape, name = tuple(value.shape), str(value.dtype).removeprefix("torch.")
    if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
        return StoredArray(shape=shape, type=f"sparse or quantized {name}", kind="O", load=lambda: value)
    check_declared(path, value.numel() * value.element_size())
    kind = "f" if value.is_floating_point() else "O" if value.is_complex() else "i"
    return StoredArray(shape=shape, type=name, kind=kind, load=lambda: as_array(value, name))


def _stored_list(path: Path, value: Sequence[Any]) -> StoredArray:
    """A list of numbers or texts, or of vectors of one length; nothing deeper is looked at, as shared lists can be endless."""
    first = value[0]
    if isinstance(first, Tensor | np.ndarray) and first.ndim in (0, 1) and all(type(one) is type(first) for one in value):
        shapes = {tuple(one.shape) for one in value}
        if len(shapes) == 1:
            check_declared(path, sum(_size(one) for one in value))
            load: Callable[[], Any] = lambda: np.stack([as_array(one, "row") for one in value])  # noqa: E731
            kind = _stored(path, first).kind
            return StoredArray(shape=(len(value), *first.shape), type=f"list of {_kind_of(first)}", kind=kind, load=load)
    elif all(_is_plain(one) for one in value):
        kind = "U" if any(isinstance(one, str) for one in value) else "f" if any(isinstance(one, float) for one in value) else "i"
        return StoredArray(shape=(len(value),), type="list", kind=kind, load=lambda: np.array(value))
    elif all(isinstance(one, list | tuple) and len(one) == len(value[0]) and all(map(_is_number, one)) for one in value):
        check_declared(path, sum(8 * len(one) for one in value))
        return StoredArray(shape=(len(value), len(value[0])), type="list of lists", kind="f", load=lambda: np.array(value))
    return StoredArray(shape=(len(value),), type=f"list of {_kind_of(first)}", kind="O", load=lambda: value)


def _size(value: Any) -> int:
    return int(value.numel() * value.element_size() if isinstance(value, Tensor) else value.nbytes)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) or _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number)


def _kind_of(value: Any) -> str:
    """A value in words, without looking into it."""
    if isinstance(value, Tensor | np.ndarray):
        return f"{' x '.join(map(str, value.shape)) or 'one'} {str(value.dtype).removeprefix('torch.')}"
    kind = type(value).__name__
    return f"{kind} of {len(value):,}" if isinstance(value, dict | list | tuple | set | str | bytes) else kind


def _is_by_class(value: Mapping[Any, Any]) -> bool:
    """Whether a dict has vectors under labels, in place of arrays under names."""
    names = {key.lower() for key in value if isinstance(key, str)}
    tables = all(isinstance(item, list | tuple) or (isinstance(item, Tensor | np.ndarray) and item.ndim == 2) for item in value.values())
    return bool(value) and (tables or all(_is_number(key) for key in value)) and not names & {*FEATURES, *LABELS, *SPLITS}


def _by_class(path: Path, value: Mapping[Any, Any]) -> Contents:
    """Features of a dict from a label to a list of vectors."""
    others = [f"{key if isinstance(key, str | int | float) else type(key).__name__} ({_kind_of(item)})" for key, item in value.items()]
    parts: list[StoredArray] = []
    labels: list[int | str] = []
    try:
        for key, vectors in value.items():
            label, part = _label(key), _stored(path, vectors)
            if not part.is_real or len(part.shape) != 2 or not all(part.shape):
                raise InputError(f"has no list of vectors of one length under the label {label!r}")
            if parts and part.shape[1] != parts[0].shape[1]:
                raise InputError(f"has vectors of {parts[0].shape[1]} numbers, but of {part.shape[1]} under the label {label!r}")
            parts.append(part)
            labels += [label] * part.rows
        if len({isinstance(label, str) for label in labels}) > 1:
            raise InputError("has labels that are numbers and labels that are text")
    except InputError as error:
        raise InputError(f"{error}; it holds {Contents(arrays={}, others=others)}") from error
    rows = (len(labels), parts[0].shape[1])
    check_declared(path, 8 * rows[0] * rows[1])
    return Contents(
        arrays={
            "vectors": StoredArray(
                shape=rows, type="vectors", kind="f", load=lambda: np.concatenate([np.asarray(part.load()) for part in parts])
            ),
            "their labels": StoredArray(shape=rows[:1], type="labels", kind="i", load=lambda: np.array(labels)),
        },
        features="vectors",
        labels="their labels",
    )


def _label(key: Any) -> int | str:
    if isinstance(key, float | np.floating) and float(key).is_integer():
        return int(key)
    if isinstance(key, str):
        return key
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        return int(key)
    shown = repr(key) if isinstance(key, float) else f"of type {type(key).__name__}"
    raise InputError(f"has the label {shown}, which is neither a whole number nor text")
