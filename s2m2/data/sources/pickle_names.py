"""What the names in a pickle stand for while it is read: types, arrays and plain containers, and nothing else."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

NUMBERS_OR_TEXT = re.compile(r"[biufc]\d{1,2}|[SU]\d{1,9}")
"""Types of array elements that are read, as NumPy writes them: truth values, numbers, bytes and text of a fixed length."""


class RefusedError(Exception):
    """The pickle is sound but holds what is not read here."""


class Piece:
    """Stands for long bytes, or for a long text of Python 2, while the pickle is read."""

    __slots__ = ("content", "is_text")

    def __init__(self, content: np.ndarray, *, is_text: bool) -> None:
        self.content, self.is_text = content, is_text

    def __setstate__(self, state: object) -> None:
        raise ValueError("bytes with a state")


class TypeStandIn:
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
            raise RefusedError(f"it holds an array of type {self._code if isinstance(self._code, str) else type(self._code).__name__!r}")
        dtype: np.dtype[Any] = np.dtype(self._code)
        return dtype.newbyteorder(">") if self._order == ">" else dtype.newbyteorder("<") if self._order == "<" else dtype


class ArrayStandIn:
    """Stands for an array while the pickle is read; `value` is the array."""

    def __init__(self) -> None:
        self.value: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, column_major, content = state
        self.value = _array_of(content, kind, shape, "F" if column_major else "C")


def _array_of(content: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    if (
        not isinstance(kind, TypeStandIn)
        or not isinstance(shape, tuple)
        or not all(type(length) is int and length >= 0 for length in shape)
    ):
        raise ValueError("an array without a type or a shape")
    dtype = kind.dtype()
    content = content.encode("latin1") if isinstance(content, str) else content  # A pickle of Python 2 has bytes as text.
    content = content.content if isinstance(content, Piece) else content
    if not isinstance(content, bytes | bytearray | np.ndarray) or len(content) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of shape {shape} without its bytes")
    if isinstance(content, np.ndarray):
        values = content.view(dtype)
        values = values if values.flags.aligned else values.copy()
    else:
        values = np.frombuffer(content, dtype) if len(content) else np.empty(math.prod(shape), dtype)
    values = values.astype(dtype.newbyteorder("="), copy=False)
    values.flags.writeable = False
    return values.reshape(shape, order="F" if order == "F" else "C")


def _made_array(content: Any, kind: Any, shape: Any, order: Any) -> ArrayStandIn:
    made = ArrayStandIn()
    made.value = _array_of(content, kind, shape, order)
    return made


def _scalar(kind: Any, content: Any) -> Any:
    return _array_of(content, kind, (1,), "C")[0]


def _encoded(text: Any, encoding: Any) -> bytes:
    if encoding not in ("latin1", "latin-1"):  # The only one that Python itself writes.
        raise ValueError("bytes in another encoding than latin1")
    return text.encode("latin1")


KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): lambda code, *_: TypeStandIn(code),
    ("numpy", "ndarray"): lambda *_: _no_call("numpy.ndarray"),
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: ArrayStandIn(),
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _made_array,
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
    arguments = tuple(one.content.tobytes() if isinstance(one, Piece) else one for one in arguments)
    if len(arguments) > 1 or not all(isinstance(argument, types) for argument in arguments):
        raise ValueError("a container of something else")
    return arguments


def _no_call(name: str) -> Any:
    raise RefusedError(f"it calls {name}")
