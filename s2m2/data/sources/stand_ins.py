"""What stands for the names in a pickle: functions of this file, which make arrays and plain containers, and count what they make."""

import math
import re
from collections.abc import Callable, Sized
from typing import Any

import numpy as np

NUMBERS_OR_TEXT = re.compile(r"[biufc]\d{1,2}|[SU][1-9]\d{0,8}")
"""Accepted types of array elements, as NumPy writes them: truth values, numbers, bytes and text of a fixed length."""
MAX_KEY = 1024
"""Length of the longest text or bytes in a set or as a key of a dict."""
MAX_CONTAINER_BYTES = 1 << 30
"""Memory of all empty lists, tuples, dicts and sets of a pickle; tieredImageNet's take 0.15 GB."""
MEMORY_PER_BYTE, MEMORY_FREE, ITEM_BYTES = 4, 1 << 20, 8
"""Bytes that calls of a pickle may make, for each byte of the file and besides; an item of a container counts as eight."""


class RefusedError(Exception):
    """The pickle is sound but holds something that is not accepted."""


class MappedBytes:
    """Stands for long bytes, or a long text of Python 2, while the pickle is read."""

    __slots__ = ("content", "is_text")

    def __init__(self, content: np.ndarray, *, is_text: bool) -> None:
        self.content, self.is_text = content, is_text

    def __setstate__(self, state: object) -> None:
        raise ValueError("bytes with a state")


class Budget:
    """Bytes that calls of a pickle may still make."""

    def __init__(self, file_bytes: int) -> None:
        self._left, self._containers = MEMORY_PER_BYTE * file_bytes + MEMORY_FREE, MAX_CONTAINER_BYTES

    def container(self, amount: int) -> None:
        """Count an empty container."""
        self._containers -= amount
        if self._containers < 0:
            raise RefusedError(f"its lists, tuples, dicts and sets take more than {MAX_CONTAINER_BYTES / 1e9:.1f} GB")

    def spend(self, amount: int) -> None:
        """Refuse the pickle if it makes more than its length allows."""
        self._left -= amount
        if self._left < 0:
            raise RefusedError("it stands for far more than its length")


class TypeStandIn:
    """Stands for a `numpy.dtype` while the pickle is read."""

    def __init__(self, code: Any) -> None:
        self._code, self._order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        # Of the nine entries only the byte order matters; the others describe refused types.
        self._order = state[1]

    def dtype(self) -> "np.dtype[Any]":
        """The type, made from its code alone."""
        if not isinstance(self._code, str) or not NUMBERS_OR_TEXT.fullmatch(self._code):
            # Anything but text by its kind alone, as nested lists can be endless to print.
            code = shown(self._code if isinstance(self._code, str) else type(self._code).__name__)
            raise RefusedError(f"it holds an array of type {code!r}")
        dtype: np.dtype[Any] = np.dtype(self._code)
        return dtype.newbyteorder(">") if self._order == ">" else dtype.newbyteorder("<") if self._order == "<" else dtype


class ArrayStandIn:
    """Stands for an array while the pickle is read; `value` is the array."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.value: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, column_major, content = state
        self.value = _array_of(self._budget, content, kind, shape, "F" if column_major else "C")


def _array_of(budget: Budget, content: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    if (
        not isinstance(kind, TypeStandIn)
        or not isinstance(shape, tuple)
        or not all(type(length) is int and length >= 0 for length in shape)
    ):
        raise ValueError("an array without a type or a shape")
    dtype = kind.dtype()
    if isinstance(content, str):  # A pickle of Python 2 has bytes as text.
        budget.spend(len(content))
        content = content.encode("latin1")
    content = content.content if isinstance(content, MappedBytes) else content
    if not isinstance(content, bytes | bytearray | np.ndarray) or len(content) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array without the bytes of its {len(shape)} axes")
    if not len(content):
        return np.empty(shape, dtype)
    values = content.view(dtype) if isinstance(content, np.ndarray) else np.frombuffer(content, dtype)
    if not values.flags.aligned or not dtype.isnative:
        budget.spend(values.nbytes)
    values = (values if values.flags.aligned else values.copy()).astype(dtype.newbyteorder("="), copy=False)
    values.flags.writeable = False
    return values.reshape(shape, order="F" if order == "F" else "C")


def _made_array(budget: Budget, content: Any, kind: Any, shape: Any, order: Any) -> ArrayStandIn:
    made = ArrayStandIn(budget)
    made.value = _array_of(budget, content, kind, shape, order)
    return made


def _scalar(budget: Budget, kind: Any, content: Any) -> Any:
    return _array_of(budget, content, kind, (1,), "C")[0]


def _encoded(budget: Budget, text: Any, encoding: Any) -> bytes:
    if type(text) is not str or encoding not in ("latin1", "latin-1"):  # The only one that Python itself writes.
        raise ValueError("bytes in another encoding than latin1")
    budget.spend(len(text))
    return text.encode("latin1")


STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): lambda _, code, *__: TypeStandIn(code),
    ("numpy", "ndarray"): lambda *_: no_call("numpy.ndarray"),
    ("numpy.core.multiarray", "_reconstruct"): lambda budget, *_: ArrayStandIn(budget),
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _made_array,
    ("_codecs", "encode"): _encoded,
    ("builtins", "bytes"): lambda *given: bytes(*_only(*given, kinds=(bytes, list))),
    ("builtins", "bytearray"): lambda *given: bytearray(*_only(*given, kinds=(bytes, list))),
    ("builtins", "set"): lambda *given: set(map(hashable, *_only(*given, kinds=(list,)) or [()])),
    ("builtins", "frozenset"): lambda *given: frozenset(map(hashable, *_only(*given, kinds=(list,)) or [()])),
    ("builtins", "list"): lambda *given: list(*_only(*given, kinds=(list, tuple))),
    ("builtins", "dict"): lambda *given: _dict(*_only(*given, kinds=(dict, list))),
    ("collections", "OrderedDict"): lambda *given: _dict(*_only(*given, kinds=(dict, list))),
    ("collections", "defaultdict"): lambda *_: {},
}
"""Stand-ins for the names that a pickle may use, called with its budget; NumPy 2 calls `numpy.core` `numpy._core`, Python 2 `builtins`
`__builtin__`."""


def _only(budget: Budget, *arguments: Any, kinds: tuple[type, ...]) -> tuple[Any, ...]:
    """The one argument of a container, or none, paid for as it will be copied."""
    for one in arguments:
        budget.spend(one.content.nbytes if isinstance(one, MappedBytes) else ITEM_BYTES * len(one) if isinstance(one, Sized) else 0)
    arguments = tuple(one.content.tobytes() if isinstance(one, MappedBytes) else one for one in arguments)
    # A number would make `bytes` ask for that much memory.
    if len(arguments) > 1 or not all(isinstance(argument, kinds) for argument in arguments):
        raise ValueError("a container of something else")
    return arguments


def _dict(content: Any = ()) -> dict[Any, Any]:
    return {hashable(key): value for key, value in (content.items() if isinstance(content, dict) else content)}


def hashable(key: Any) -> Any:
    """A key of a dict or an item of a set: nothing whose hash could take long, collide by intent, or end the process."""
    if (isinstance(key, str | bytes) and len(key) <= MAX_KEY) or (isinstance(key, int | np.integer) and -(2**63) <= key < 2**64):
        return key
    if isinstance(key, float | np.floating):  # of which at most a few hundred have one hash
        return key
    raise RefusedError(f"a set or the keys of a dict are something else than short texts and numbers: {type(key).__name__}")


def no_call(name: str) -> Any:
    """Refuse the call of a name."""
    raise RefusedError(f"it calls {name}")


def shown(text: str, limit: int = 60) -> str:
    """The beginning of a text of a pickle, for a message of one line."""
    return "".join(character if character.isprintable() else "?" for character in text[:limit])
