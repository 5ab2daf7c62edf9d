"""Files of torch that somebody else made: tensors and plain values, read where they take no more memory than the file has.

`torch.load` with `weights_only` runs nothing, but it hashes whatever a file has as a key, compares no checksum, unpacks zeros without
end, and gives tensors of a single number that say they are billions.
"""

import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s2m2.archives import archive_fault, check_archive, stands_for_too_much
from s2m2.data.sources.unpickling import check_instructions
from s2m2.errors import InputError, is_out_of_memory
from s2m2.io import check_regular, reading

ZIP_MAGIC, OLD_TORCH_MAGIC = b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""First bytes of a torch file, and of one written before torch 1.6."""
OLD_PARTS = 5
"""Pickles in a row in an old file."""


def read_torch_file(path: Path) -> Any:
    """The content of a torch file, on the CPU, by `weights_only`.

    Raises:
        InputError: the file cannot be read, is a pipe, is damaged, names more than tensors and plain values, or stands for more than its
            length.
    """
    check_regular(path)
    try:
        with reading(path):
            check_content(path)
            with warnings.catch_warnings(action="ignore"):  # of sparse tensors, which are refused below
                content = torch.load(path, map_location="cpu", weights_only=True)
    except (InputError, OSError):
        raise
    except Exception as error:  # what torch raises for a damaged file depends on where it is damaged
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            raise InputError(f"{path} is refused: it names {named[1]}; only tensors and plain values are read") from error
        if isinstance(error, MemoryError) or is_out_of_memory(error):
            raise InputError(f"{path} is refused: it asks for more memory than there is") from error
        raise InputError(f"{path} is no torch file, or is damaged or cut short") from error
    _check_tensors(path, content)
    return content


def check_content(path: Path) -> None:
    """Look at a torch file before torch reads it.

    Raises:
        InputError: it unpacks without end, or hashes or nests what torch should not meet.
        ValueError: it is damaged, or begins as no torch file does.
    """
    with path.open("rb") as file:
        if not file.read(len(ZIP_MAGIC)).startswith(ZIP_MAGIC):
            file.seek(0)
            if file.read(len(OLD_TORCH_MAGIC)) != OLD_TORCH_MAGIC:
                raise ValueError("it begins as no torch file does")  # torch would unpickle it to find that out
            whole = io.BytesIO(OLD_TORCH_MAGIC + file.read())
            for _ in range(OLD_PARTS):
                check_instructions(whole, path)
            return
    if fault := archive_fault(path):
        raise InputError(f"{path} is refused: it {fault}")
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.endswith("/data.pkl"):
                check_instructions(io.BytesIO(archive.read(member)), path)
    check_archive(path)


def _check_tensors(path: Path, content: Any) -> None:
    """Raise `InputError` for tensors that are larger than what is stored of them."""
    stated, length = 0, path.stat().st_size
    for tensor in _tensors(content):
        if tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise InputError(f"{path} is refused: it has a tensor without its numbers")
        size = tensor.numel() * tensor.element_size()
        if size > tensor.untyped_storage().nbytes():
            raise InputError(f"{path} is refused: a tensor of {tensor.numel():,} numbers is stored as fewer")
        stated += size
    if stands_for_too_much(stated, length):
        raise InputError(f"{path} is refused: its tensors are {stated:,} bytes, far more than the file")


def _tensors(content: Any) -> Iterator[Tensor]:
    """Every tensor in nested containers, as often as it is named there; a container that is named twice is looked into once, as a few of
    them in each other would be looked into without end.
    """
    seen: set[int] = set()
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Tensor):
            yield one
        elif isinstance(one, dict | list | tuple) and id(one) not in seen:
            seen.add(id(one))
            waiting += one.values() if isinstance(one, dict) else one
