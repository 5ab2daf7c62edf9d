"""Torch files of others, read without running anything in them, and without more memory than they have bytes."""

import pickletools
import re
import warnings
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch

from s2m2.errors import InputError, is_out_of_memory

ZIP_MAGIC, OLD_TORCH_MAGIC = b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""First bytes of a torch file, and of one written before torch 1.6."""
MAX_EXPANSION, ALWAYS_TAKEN = 4, 2**26
"""torch itself does not compress: a file may be this many times as large inside, and 64 MiB in any case."""
MAX_TUPLES = 16
"""Of tuples in tuples. A key is hashed with all that is in it: what is deeper never ends, or ends the process."""
OLD_PARTS = 5
"""Pickles in a row in an old file."""
STORES, FETCHES = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), ("GET", "BINGET", "LONG_BINGET")
TUPLES = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")
"""Instructions of pickles that keep and repeat an object, and that make a tuple."""


def load_torch_file(path: Path) -> Any:
    """The content of a file of `torch.save`: tensors and plain containers.

    Raises:
        InputError: the file cannot be read, holds anything else, or states more than it has. The message leads with "is" or
            "cannot", without the file.
    """
    try:
        _check(path)
        with warnings.catch_warnings(action="ignore"):  # of sparse tensors, which nothing here reads
            return torch.load(path, map_location="cpu", weights_only=True)
    except (InputError, OSError):
        raise
    except Exception as error:  # what torch raises for a damaged file depends on where it is damaged
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            raise InputError(f"is refused: it names {named[1]}; only tensors and plain values are read") from error
        if isinstance(error, MemoryError) or is_out_of_memory(error) or "can't allocate memory" in str(error):
            raise InputError("is refused: it asks for more memory than there is") from error
        raise InputError("is no torch file, or is damaged or cut short") from error


def _check(path: Path) -> None:
    """Raise `InputError` for what would fill memory or never end before anything of it is made."""
    with path.open("rb") as file:
        old = not file.read(4).startswith(ZIP_MAGIC)
        file.seek(0)
        if old:
            for _ in range(OLD_PARTS):
                _check_tuples(file)
            return
    with ZipFile(path) as archive:
        size, own = sum(member.file_size for member in archive.infolist()), path.stat().st_size
        if size > max(ALWAYS_TAKEN, MAX_EXPANSION * own):
            raise InputError(f"is refused: unpacked it is {size:,} bytes, but the file itself is {own:,}")
        for member in archive.infolist():
            if member.filename.endswith("/data.pkl"):
                with archive.open(member) as content:
                    _check_tuples(content)
        if archive.testzip() is not None:  # torch itself compares no checksum
            raise InputError("is damaged: its content is not what its checksums say")


def _check_tuples(file: Any) -> None:
    """Raise `InputError` if a pickle nests tuples too deeply: its instructions are followed with depths in place of objects."""
    stack: list[int | None] = []  # None: a mark
    memo: dict[Any, int | None] = {}
    for code, argument, _ in pickletools.genops(file):
        if code.name in STORES:
            memo[len(memo) if argument is None else argument] = stack[-1]
        elif code.name in FETCHES:
            stack.append(memo[argument])
        elif code.name == "MARK":
            stack.append(None)
        else:
            depth = max((one for one in _taken(stack, code) if one is not None), default=0) + (code.name in TUPLES)
            if depth > MAX_TUPLES:
                raise InputError("is refused: it has tuples in tuples without end")
            stack += [depth] * len(code.stack_after)


def _taken(stack: list[int | None], code: pickletools.OpcodeInfo) -> list[int | None]:
    """Remove what an instruction takes from the stack, and return it."""
    before, taken = list(code.stack_before), []
    if pickletools.markobject in before:
        while (one := stack.pop()) is not None:
            taken.append(one)
        before = before[: before.index(pickletools.markobject)]
    return [*taken, *(stack.pop() for _ in before)]
