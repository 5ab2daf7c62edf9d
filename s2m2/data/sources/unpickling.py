"""Pickles that hold nothing but NumPy arrays and plain containers, read without running anything that a pickle may ask for.

A pickle is a program: it names functions, has them called and sets attributes. Here every name stands for a fresh function of this
file or is refused, and NumPy's own unpickling is never reached, as it trusts what it is told about memory. Arrays are views of the
bytes that were read, and cannot be written to.
"""

import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from s2m2.errors import InputError

NUMBERS_OR_TEXT = re.compile(r"[biufc]\d{1,2}|[SU]\d{1,9}")
"""Types of array elements that are read, as NumPy writes them: truth values, numbers, bytes and text of a fixed length."""


def read_pickle(path: Path) -> object:
    """What a pickle holds: None, truth values, numbers, text, bytes, lists, tuples, sets, dicts, NumPy arrays and scalars.

    Pickles of Python 2 are read with their texts as Latin-1; an ordered or default dict is read as a plain one.

    Raises:
        InputError: the file cannot be read, is no pickle or is cut short, or holds anything else; then nothing of it has been run.
    """
    try:
        with path.open("rb") as file:
            return _plain(_Reader(file).load(), {})
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except _RefusedError as error:
        raise InputError(f"{path} is refused: {error}; of pickles only NumPy arrays and plain containers are read") from error
    except MemoryError as error:
        raise InputError(f"{path} is refused: it asks for more memory than there is") from error
    except Exception as error:  # What a damaged pickle raises depends on where it is damaged.
        raise InputError(f"{path} is no pickle, or is damaged or cut short: {' '.join(str(error).split()) or 'it ends early'}") from error


class _RefusedError(Exception):
    """The pickle is sound but holds what is not read here."""


class _Reader(pickle.Unpickler):
    """Python's reader of pickles, whose only documented hook for names is a method to override."""

    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the pickle stands for. A fresh object each time, so that nothing a pickle does to it lasts."""
        known = _KNOWN.get((module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins"), name))
        if known is None:
            raise _RefusedError(f"it names {module}.{name}")
        return lambda *arguments: known(*arguments)


class _Type:
    """Stands for a `numpy.dtype` while the pickle is read."""

    def __init__(self, code: Any) -> None:
        self._code, self._order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        # Of the nine entries only the byte order matters; the others describe types that are refused.
        self._order = state[1]

    def dtype(self) -> "np.dtype[Any]":
        """The type, made from its code alone."""
        if not isinstance(self._code, str) or not NUMBERS_OR_TEXT.fullmatch(self._code):
            # Of anything but text the kind alone, as lists inside lists can be endless to print.
            raise _RefusedError(f"it holds an array of type {self._code if isinstance(self._code, str) else type(self._code).__name__!r}")
        dtype: np.dtype[Any] = np.dtype(self._code)
        return dtype.newbyteorder(">") if self._order == ">" else dtype.newbyteorder("<") if self._order == "<" else dtype


class _Array:
    """Stands for an array while the pickle is read; `value` is the array."""

    def __init__(self) -> None:
        self.value: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, column_major, content = state
        self.value = _array_of(content, kind, shape, "F" if column_major else "C")


def _array_of(content: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    if not isinstance(kind, _Type) or not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError("an array without a type or a shape")
    dtype = kind.dtype()
    content = content.encode("latin1") if isinstance(content, str) else content  # A pickle of Python 2 has bytes as text.
    if not isinstance(content, bytes | bytearray) or len(content) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of shape {shape} without its bytes")
    values = np.frombuffer(content, dtype) if len(content) else np.empty(math.prod(shape), dtype)
    values = values.astype(dtype.newbyteorder("="), copy=False)
    values.flags.writeable = False
    return values.reshape(shape, order="F" if order == "F" else "C")


def _scalar(kind: Any, content: Any) -> Any:
    return _array_of(content, kind, (1,), "C")[0]


def _encoded(text: Any, encoding: Any) -> bytes:
    if encoding not in ("latin1", "latin-1"):  # The only one that Python itself writes.
        raise ValueError("bytes in another encoding than latin1")
    return text.encode("latin1")


_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): lambda code, *_: _Type(code),
    ("numpy", "ndarray"): lambda *_: _no_call("numpy.ndarray"),
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _array_of,
    ("_codecs", "encode"): _encoded,
    ("builtins", "bytes"): lambda *content: bytes(*_only(content, bytes, list)),
    ("builtins", "bytearray"): lambda *content: bytearray(*_only(content, bytes, list)),
    ("builtins", "set"): lambda *content: set(*_only(content, list)),
    ("builtins", "frozenset"): lambda *content: frozenset(*_only(content, list)),
    ("builtins", "list"): lambda *content: list(*_only(content, list, tuple)),
    ("builtins", "dict"): lambda *content: dict(*_only(content, dict, list)),
    ("collections", "OrderedDict"): lambda *content: dict(*_only(content, dict, list)),
    ("collections", "defaultdict"): lambda *_: {},
}
"""What stands for each name that a pickle may use; NumPy 2 calls `numpy.core` `numpy._core`, Python 2 `builtins` `__builtin__`."""


def _only(arguments: tuple[Any, ...], *types: type) -> tuple[Any, ...]:
    # A number, say, would make `bytes` ask for that much memory.
    if len(arguments) > 1 or not all(isinstance(argument, types) for argument in arguments):
        raise ValueError("a container of something else")
    return arguments


def _no_call(name: str) -> Any:
    raise _RefusedError(f"it calls {name}")


def _plain(value: object, done: dict[int, object]) -> object:
    """The same with arrays for what stood for them.

    Args:
        value: what the pickle holds, which stays alive as a whole until the end.
        done: containers by identity. What is in several places is made once, else lists inside lists grow exponentially.
    """
    if not isinstance(value, dict | list | tuple | set | frozenset):
        return _made_plain(value, done)
    if id(value) not in done:
        done[id(value)] = _made_plain(value, done)
    return done[id(value)]


def _made_plain(value: object, done: dict[int, object]) -> object:
    kind = type(value)
    if kind is _Array:
        if (array := cast(_Array, value).value) is None:
            raise ValueError("an array without content")
        return array
    if kind is dict:
        return {_plain(key, done): _plain(item, done) for key, item in cast(dict[Any, Any], value).items()}
    if kind is list:
        return [_plain(item, done) for item in cast(list[Any], value)]
    if kind is tuple:
        return tuple(_plain(item, done) for item in cast(tuple[Any, ...], value))
    if kind is set or kind is frozenset:
        return kind(_plain(item, done) for item in cast(set[Any], value))
    if value is None or isinstance(value, bool | int | float | str | bytes | bytearray | np.generic | np.ndarray):
        return value
    raise _RefusedError(f"it holds a {kind.__name__.strip('_').lower()}")
