"""Pickles of NumPy arrays and plain containers, read without running anything that a pickle asks for.

A pickle is a program: it names functions, has them called and sets attributes. Here every name stands for a new function of this file
or is refused, and NumPy's own unpickling, which trusts every length in a pickle, is never reached.

Long bytes are not read at all: arrays of them are read-only views of a memory map of the file. That works wherever a pickle has raw
bytes, as Python 2 writes them by protocol 2 and Python 3 by protocol 3 and above. Protocols 0 and 1, and Python 3 by protocol 2, write
bytes as text, which is read into memory: three to four times the array at once, then the array.
"""

import math
import mmap
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, ClassVar, cast

import numpy as np
from numpy.lib.array_utils import byte_bounds

from s2m2.errors import InputError

MAPPED_FROM = 1024
"""Length in bytes from which bytes stay in the file."""
NUMBERS_OR_TEXT = re.compile(r"[biufc]\d{1,2}|[SU]\d{1,9}")
"""Accepted types of array elements, as NumPy writes them: truth values, numbers, bytes and text of a fixed length."""


def read_pickle(path: Path) -> object:
    """The content of a pickle: None, truth values, numbers, text, bytes, lists, tuples, sets, dicts, NumPy arrays and scalars.

    Texts of Python 2 are read as Latin-1, ordered and default dicts as plain ones, and bytes of 1,024 and more as a flat uint8 array.

    Raises:
        InputError: the file cannot be read, is no pickle or is cut short, or holds anything else, of which nothing has run.
    """
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return _plain(_Reader(file, mapped).load(), {})
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except RefusedError as error:
        raise InputError(f"{path} is refused: {error}; of pickles only NumPy arrays and plain containers are read") from error
    except MemoryError as error:
        raise InputError(f"{path} is refused: it asks for more memory than there is") from error
    except Exception as error:  # The exception of a damaged pickle depends on the place of the damage.
        reason = "it has an instruction that no pickle has" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise InputError(f"{path} is no pickle, or is damaged or cut short: {reason or 'it ends early'}") from error


def offset_in_file(array: np.ndarray) -> int | None:
    """Offset in bytes of an array in the pickle that it was read from; None: it is in memory, or not contiguous."""
    mapped = array.base
    if not isinstance(mapped, np.ndarray) or not isinstance(getattr(mapped.base, "obj", None), mmap.mmap) or not array.flags.c_contiguous:
        return None
    return byte_bounds(array)[0] - byte_bounds(mapped)[0]


class RefusedError(Exception):
    """The pickle is sound but holds something that is not accepted."""


class MappedBytes:
    """Stands for long bytes, or a long text of Python 2, while the pickle is read."""

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
        # Of the nine entries only the byte order matters; the others describe refused types.
        self._order = state[1]

    def dtype(self) -> "np.dtype[Any]":
        """The type, made from its code alone."""
        if not isinstance(self._code, str) or not NUMBERS_OR_TEXT.fullmatch(self._code):
            # Anything but text by its kind alone, as nested lists can be endless to print.
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
    content = content.content if isinstance(content, MappedBytes) else content
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


STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
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
"""Stand-ins for the names that a pickle may use; NumPy 2 calls `numpy.core` `numpy._core`, Python 2 `builtins` `__builtin__`."""


def _only(arguments: tuple[Any, ...], *types: type) -> tuple[Any, ...]:
    # A number would make `bytes` ask for that much memory.
    arguments = tuple(one.content.tobytes() if isinstance(one, MappedBytes) else one for one in arguments)
    if len(arguments) > 1 or not all(isinstance(argument, types) for argument in arguments):
        raise ValueError("a container of something else")
    return arguments


def _no_call(name: str) -> Any:
    raise RefusedError(f"it calls {name}")


class _Reader(pickle._Unpickler):
    """Python's reader of pickles, in its Python version: the C version copies every array into memory.

    Overriding `find_class` is documented; the table of instructions is not, but joblib and others have relied on it since Python 3.0.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.BINSTRING[0]: lambda reader: reader._skip("<i", is_text=True),
        pickle.BINBYTES[0]: lambda reader: reader._skip("<I"),
        pickle.BINBYTES8[0]: lambda reader: reader._skip("<Q"),
        pickle.BYTEARRAY8[0]: lambda reader: reader._skip_bytearray(),
        # The content of a frame lies in the file as without frames.
        pickle.FRAME[0]: lambda reader: reader._file.seek(8, 1),
    }

    def __init__(self, file: IO[bytes], mapped: mmap.mmap) -> None:
        # Instructions are read from the file, as pages of a map count as memory of the process.
        super().__init__(file, encoding="latin1")
        self._file, self._content = file, np.frombuffer(mapped, dtype=np.uint8)
        self.stack: list[Any]

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name. A new object each time, so that changes by a pickle do not last."""
        stand_in = STAND_INS.get((module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins"), name))
        if stand_in is None:
            raise RefusedError(f"it names {module}.{name}")
        return lambda *arguments: stand_in(*arguments)

    def _skip(self, layout: str, *, is_text: bool = False) -> None:
        """Skip the bytes or text of an instruction if they are long; `layout` is that of their length."""
        (length,) = struct.unpack(layout, self._file.read(struct.calcsize(layout)))
        start = self._file.tell()
        if not 0 <= length <= len(self._content) - start:
            raise EOFError("it ends early")
        if length >= MAPPED_FROM:
            self._file.seek(length, 1)
            self.stack.append(MappedBytes(self._content[start : start + length], is_text=is_text))
        else:
            content = self._file.read(length)
            self.stack.append(content.decode("latin1") if is_text else content)

    def _skip_bytearray(self) -> None:
        self._skip("<Q")
        if isinstance(self.stack[-1], bytes):
            self.stack[-1] = bytearray(self.stack[-1])


def _plain(value: object, done: dict[int, object]) -> object:
    """The content of a pickle with arrays in place of their stand-ins.

    Args:
        value: the content, which stays alive as a whole until the end.
        done: containers by identity. Shared ones are converted once, else nested lists grow exponentially.
    """
    if not isinstance(value, dict | list | tuple | set | frozenset):
        return _made_plain(value, done)
    if id(value) not in done:
        done[id(value)] = _made_plain(value, done)
    return done[id(value)]


def _made_plain(value: object, done: dict[int, object]) -> object:
    kind = type(value)
    if kind is ArrayStandIn:
        if (array := cast(ArrayStandIn, value).value) is None:
            raise ValueError("an array without content")
        return array
    if kind is MappedBytes:
        piece = cast(MappedBytes, value)
        return piece.content.tobytes().decode("latin1") if piece.is_text else piece.content
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
    raise RefusedError(f"it holds a {kind.__name__.strip('_').lower()}")
