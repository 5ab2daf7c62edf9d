"""Pickles that hold nothing but NumPy arrays and plain containers, read without running anything that a pickle may ask for.

A pickle is a program: it names functions, has them called and sets attributes. Here every name stands for a fresh function of this
file or is refused, and NumPy's own unpickling is never reached, as it trusts what it is told about memory.

Long bytes are not read at all: arrays of them are views of a memory map of the file, and cannot be written to. That holds wherever a
pickle has the bytes as they are, in what Python 2 writes by protocol 2 and Python 3 by protocol 3 and above. Protocols 0 and 1, and
Python 3 by protocol 2, write bytes as text, which is read into memory: three to four times the array at once, then the array.
"""

import mmap
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, ClassVar, cast

import numpy as np
from numpy.lib.array_utils import byte_bounds

from s2m2.data.sources.pickle_names import KNOWN, ArrayStandIn, Piece, RefusedError
from s2m2.errors import InputError

LEFT_FROM = 1024
"""Bytes in a row from which they stay in the file."""


def read_pickle(path: Path) -> object:
    """What a pickle holds: None, truth values, numbers, text, bytes, lists, tuples, sets, dicts, NumPy arrays and scalars.

    Pickles of Python 2 are read with their texts as Latin-1; an ordered or default dict is read as a plain one, and bytes of 1,024 and
    more as a flat uint8 array.

    Raises:
        InputError: the file cannot be read, is no pickle or is cut short, or holds anything else; then nothing of it has been run.
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
    except Exception as error:  # What a damaged pickle raises depends on where it is damaged.
        reason = "it has an instruction that no pickle has" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise InputError(f"{path} is no pickle, or is damaged or cut short: {reason or 'it ends early'}") from error


def place_in_file(array: np.ndarray) -> int | None:
    """Byte of a pickle at which the content of an array begins that was read from it; None: it is in memory, or in pieces."""
    whole = array.base
    if not isinstance(whole, np.ndarray) or not isinstance(getattr(whole.base, "obj", None), mmap.mmap) or not array.flags.c_contiguous:
        return None
    return byte_bounds(array)[0] - byte_bounds(whole)[0]


class _Reader(pickle._Unpickler):
    """Python's reader of pickles in its version in Python, whose documented hook for names is a method to override.

    Its dataset of instructions is not documented, but joblib and others have relied on it for as long as there is Python 3; the version in
    C copies every array into memory.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.BINSTRING[0]: lambda reader: reader._pass("<i", is_text=True),
        pickle.BINBYTES[0]: lambda reader: reader._pass("<I"),
        pickle.BINBYTES8[0]: lambda reader: reader._pass("<Q"),
        pickle.BYTEARRAY8[0]: lambda reader: reader._pass_bytearray(),
        # What a frame holds lies in the file one after the other, as without frames.
        pickle.FRAME[0]: lambda reader: reader._file.seek(8, 1),
    }

    def __init__(self, file: IO[bytes], mapped: mmap.mmap) -> None:
        # Instructions are read from the file, as pages of a map count as memory of the process.
        super().__init__(file, encoding="latin1")
        self._file, self._content = file, np.frombuffer(mapped, dtype=np.uint8)
        self.stack: list[Any]

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the pickle stands for. A fresh object each time, so that nothing a pickle does to it lasts."""
        known = KNOWN.get((module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins"), name))
        if known is None:
            raise RefusedError(f"it names {module}.{name}")
        return lambda *arguments: known(*arguments)

    def _pass(self, layout: str, *, is_text: bool = False) -> None:
        """Pass over the bytes or the text that an instruction brings, where they are long; `layout` is that of their length."""
        (length,) = struct.unpack(layout, self._file.read(struct.calcsize(layout)))
        start = self._file.tell()
        if not 0 <= length <= len(self._content) - start:
            raise EOFError("it ends early")
        if length >= LEFT_FROM:
            self._file.seek(length, 1)
            self.stack.append(Piece(self._content[start : start + length], is_text=is_text))
        else:
            content = self._file.read(length)
            self.stack.append(content.decode("latin1") if is_text else content)

    def _pass_bytearray(self) -> None:
        self._pass("<Q")
        if isinstance(self.stack[-1], bytes):
            self.stack[-1] = bytearray(self.stack[-1])


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
    if kind is ArrayStandIn:
        if (array := cast(ArrayStandIn, value).value) is None:
            raise ValueError("an array without content")
        return array
    if kind is Piece:
        piece = cast(Piece, value)
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
