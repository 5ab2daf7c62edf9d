"""Pickles of NumPy arrays and plain containers, read without running anything that a pickle asks for.

A pickle is a program: it names functions, has them called and sets attributes. Here every name stands for a new function of this file
or is refused, and NumPy's own unpickling, which trusts every length in a pickle, is never reached.

Long bytes are not read at all: arrays of them are read-only views of a memory map of the file. That works wherever a pickle has raw
bytes, as Python 2 writes them by protocol 2 and Python 3 by protocol 3 and above. Protocols 0 and 1, and Python 3 by protocol 2, write
bytes as text, which is read into memory: three to four times the array at once, then the array.

A pickle can also say much with few bytes: the same list a thousand times, tuples in tuples whose hash takes forever or ends the process.
So nothing is hashed but short texts, short bytes and 64-bit integers, nothing is nested deeply, and what calls make is counted against
the length of the file. Python's own reader in a process with limits would have to hold every array in memory, and send it: of a cache of
mini-ImageNet 800 MB, where this one takes a tenth.
"""

import io
import mmap
import pickle
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, ClassVar, cast

import numpy as np
from numpy.lib.array_utils import byte_bounds

from s2m2.data.sources.stand_ins import (
    ITEM_BYTES,
    STAND_INS,
    ArrayStandIn,
    Budget,
    MappedBytes,
    RefusedError,
    TypeStandIn,
    hashable,
    no_call,
    shown,
)
from s2m2.errors import InputError
from s2m2.io import check_regular

MAPPED_FROM = 1024
"""Length in bytes from which bytes stay in the file."""
PYTHONS: dict[int, Callable[[Any], None]] = pickle._Unpickler.dispatch
"""What Python does for each instruction."""
MAX_DEPTH = 100
"""Containers inside each other."""
EXPANSION = 4
"""What a pickle may stand for where everything that it names twice is there twice: 16 times its length."""
CONTAINER_BYTES = {
    **dict.fromkeys((pickle.MARK, pickle.LIST, pickle.EMPTY_LIST, pickle.DICT, pickle.EMPTY_DICT), 64),
    **dict.fromkeys((pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3), 64),
    **dict.fromkeys((pickle.EMPTY_SET, pickle.FROZENSET), 216),
}
"""Memory of an empty container of each instruction that makes one, which is a single byte of the file."""


def read_pickle(path: Path) -> object:
    """The content of a pickle: None, truth values, numbers, text, bytes, lists, tuples, sets, dicts, NumPy arrays and scalars.

    Texts of Python 2 are read as Latin-1, ordered and default dicts as plain ones, and bytes of 1,024 and more as a flat uint8 array.

    Raises:
        InputError: the file cannot be read, is no pickle or is cut short, or holds anything else, of which nothing has run.
    """
    check_regular(path)
    with _faults(path), path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        content = _plain(_Reader(file, mapped).load(), {}, 0)
        Budget(EXPANSION * len(mapped)).spend(_weight(content, {}))
        return content


def check_instructions(pickled: io.BytesIO, path: Path) -> None:
    """Raise `InputError` if another reader would hash or nest what it should not; what the pickle names is left to that reader.

    Args:
        pickled: the pickle.
        path: of the file that has it, for messages.
    """
    with _faults(path):
        _plain(_Inspector(pickled, np.frombuffer(pickled.getbuffer(), dtype=np.uint8)).load(), {}, 0)


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    """What goes wrong while a pickle is read, as one line."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except RefusedError as error:
        raise InputError(f"{path} is refused: {error}; of pickles only NumPy arrays and plain containers are read") from error
    except MemoryError as error:
        raise InputError(f"{path} is refused: it asks for more memory than there is") from error
    except Exception as error:  # The exception of a damaged pickle depends on the place of the damage.
        reason = (
            "it has an instruction that no pickle has" if isinstance(error, KeyError) else shown(" ".join(str(error)[:400].split()), 200)
        )
        raise InputError(f"{path} is no pickle, or is damaged or cut short: {reason or 'it ends early'}") from error


def offset_in_file(array: np.ndarray) -> int | None:
    """Offset in bytes of an array in the pickle that it was read from; None: it is in memory, or not contiguous."""
    mapped = array.base
    if not isinstance(mapped, np.ndarray) or not isinstance(getattr(mapped.base, "obj", None), mmap.mmap) or not array.flags.c_contiguous:
        return None
    return byte_bounds(array)[0] - byte_bounds(mapped)[0]


class _Reader(pickle._Unpickler):
    """Python's reader of pickles, in its Python version: the C version copies every array into memory.

    Overriding `find_class` is documented; the table of instructions is not, but joblib and others have relied on it since Python 3.0.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **PYTHONS,
        pickle.BINSTRING[0]: lambda reader: reader._skip("<i", is_text=True),
        pickle.BINBYTES[0]: lambda reader: reader._skip("<I"),
        pickle.BINBYTES8[0]: lambda reader: reader._skip("<Q"),
        pickle.BYTEARRAY8[0]: lambda reader: reader._skip_bytearray(),
        # The content of a frame lies in the file as without frames.
        pickle.FRAME[0]: lambda reader: reader._file.seek(8, 1),
        pickle.SETITEM[0]: lambda reader: reader._set_items([reader.stack.pop(-2), reader.stack.pop()]),
        pickle.SETITEMS[0]: lambda reader: reader._set_items(reader.pop_mark()),
        pickle.ADDITEMS[0]: lambda reader: reader._add_items(reader.pop_mark()),
        pickle.PUT[0]: lambda reader: reader._put(),
        pickle.BUILD[0]: lambda reader: reader._build(),
        pickle.BINUNICODE[0]: lambda reader: reader._fitting("<I", PYTHONS[pickle.BINUNICODE[0]]),
        pickle.BINUNICODE8[0]: lambda reader: reader._fitting("<Q", PYTHONS[pickle.BINUNICODE8[0]]),
        pickle.LONG4[0]: lambda reader: reader._fitting("<i", PYTHONS[pickle.LONG4[0]]),
        # Objects of other programs, by numbers that these have registered.
        **dict.fromkeys((pickle.EXT1[0], pickle.EXT2[0], pickle.EXT4[0]), lambda _: no_call("a registered extension")),
    }

    def __init__(self, file: IO[bytes] | io.BytesIO, mapped: mmap.mmap | np.ndarray) -> None:
        # Instructions are read from the file, as pages of a map count as memory of the process.
        super().__init__(file, encoding="latin1")
        self._file, self._content = file, np.frombuffer(mapped, dtype=np.uint8)
        self._budget = Budget(len(mapped))
        self.stack: list[Any]
        self.memo: dict[int, Any]

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name. A new object each time, so that changes by a pickle do not last."""
        stand_in = STAND_INS.get((module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins"), name))
        if stand_in is None:
            raise RefusedError(f"it names {shown(module)}.{shown(name)}")
        return lambda *arguments: stand_in(self._budget, *arguments)

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

    def _fitting(self, layout: str, load: Callable[[Any], None]) -> None:
        """Run an instruction whose text or number lies in the file, as its memory is taken before it is read."""
        start = self._file.tell()
        (length,) = struct.unpack(layout, self._file.read(struct.calcsize(layout)))
        if length > len(self._content) - self._file.tell():
            raise EOFError("it ends early")
        self._file.seek(start)
        load(self)

    def _set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict:
            raise ValueError("items of something that is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[hashable(key)] = value

    def _add_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not set:
            raise ValueError("items of something that is no set")
        target.update(map(hashable, items))

    def _put(self) -> None:
        index = int(self._file.readline()[:-1])
        if not 0 <= index <= len(self._content):
            raise ValueError("an object under a number larger than the file")
        self.memo[index] = self.stack[-1]

    def _build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], ArrayStandIn | TypeStandIn | MappedBytes):
            raise RefusedError(f"it sets attributes of a {type(self.stack[-1]).__name__}")
        self.stack[-1].__setstate__(state)


class _Inspector(_Reader):
    """Reads instructions alone: whatever a pickle names is a function that gives None, and persistent objects are None."""

    def find_class(self, module: str, name: str) -> Any:
        """A function that gives None, and an empty dict for dicts."""
        return (lambda *_: {}) if name in ("OrderedDict", "defaultdict", "dict") else (lambda *_: None)

    def persistent_load(self, pid: Any) -> Any:
        """None, in place of a storage of numbers."""

    def _build(self) -> None:
        self.stack.pop()  # attributes, such as the versions of modules in a state


def _counted(load: Callable[[Any], None], amount: int) -> Callable[[Any], None]:
    def counted(reader: _Reader) -> None:
        reader._budget.container(amount)
        load(reader)

    return counted


def _made_dict(reader: Any) -> None:
    items = reader.pop_mark()
    reader.stack.append({})
    reader._set_items(items)


def _made_frozenset(reader: Any) -> None:
    reader.stack.append(frozenset(map(hashable, reader.pop_mark())))


_Reader.dispatch |= {pickle.DICT[0]: _made_dict, pickle.FROZENSET[0]: _made_frozenset}
_Reader.dispatch |= {code[0]: _counted(_Reader.dispatch[code[0]], amount) for code, amount in CONTAINER_BYTES.items()}


def _plain(value: object, done: dict[int, object], depth: int) -> object:
    """The content of a pickle with arrays in place of their stand-ins.

    Args:
        value: the content, which stays alive as a whole until the end.
        done: containers and long texts by identity. Shared ones are converted once, else nested lists grow exponentially.
        depth: containers around it.
    """
    if not isinstance(value, dict | list | tuple | MappedBytes):
        return _made_plain(value, done, depth)
    if depth > MAX_DEPTH:
        raise RefusedError(f"it has more than {MAX_DEPTH} containers inside each other")
    if id(value) not in done:
        done[id(value)] = _made_plain(value, done, depth + 1)
    return done[id(value)]


def _made_plain(value: object, done: dict[int, object], depth: int) -> object:
    kind = type(value)
    if kind is ArrayStandIn:
        if (array := cast(ArrayStandIn, value).value) is None:
            raise ValueError("an array without content")
        return array
    if kind is MappedBytes:
        piece = cast(MappedBytes, value)
        return piece.content.tobytes().decode("latin1") if piece.is_text else piece.content
    if kind is dict:
        return {key: _plain(item, done, depth) for key, item in cast(dict[Any, Any], value).items()}
    if kind is list:
        return [_plain(item, done, depth) for item in cast(list[Any], value)]
    if kind is tuple:
        return tuple(_plain(item, done, depth) for item in cast(tuple[Any, ...], value))
    if kind is set or kind is frozenset:
        return value  # of short texts and numbers
    if value is None or isinstance(value, bool | int | float | str | bytes | bytearray | np.generic | np.ndarray):
        return value
    raise RefusedError(f"it holds a {kind.__name__.strip('_').lower()}")


def _weight(value: object, known: dict[int, int]) -> int:
    """Bytes of everything in the content, what is shared as often as it is named: as much as a copy could take."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if not isinstance(value, dict | list | tuple):
        return len(value) if isinstance(value, str | bytes | bytearray) and len(value) > MAPPED_FROM else ITEM_BYTES
    if id(value) not in known:
        known[id(value)] = ITEM_BYTES + sum(_weight(item, known) for item in (value.values() if isinstance(value, dict) else value))
    return known[id(value)]
