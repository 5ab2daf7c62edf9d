"""Files of torch that somebody else made: tensors and plain values, read where they take no more memory than the file has.

`torch.load` with `weights_only` runs nothing, but it hashes whatever a file has as a key, unpacks zeros without end, and gives tensors of
a single number that say they are billions.
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s2m2.archives import archive_fault
from s2m2.data.sources.unpickling import MAX_DEPTH, check_instructions
from s2m2.errors import InputError
from s2m2.io import check_regular

MAX_RATIO, FREE_BYTES = 16, 1 << 20
"""Bytes that the tensors of a file may state for each byte of it, and besides; weights may be shared."""


def read_torch_file(path: Path) -> Any:
    """The content of a torch file, on the CPU, by `weights_only`.

    Raises:
        InputError: the file is a pipe, or stands for more than its length.
        Exception: whatever `torch.load` raises.
    """
    check_regular(path)
    length = path.stat().st_size
    fault = archive_fault(path)
    if fault is not None:
        raise InputError(f"{path} is refused: it {fault}")
    _check_pickles(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    stated = 0
    for tensor in _tensors(content):
        if tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise InputError(f"{path} is refused: it has a tensor without its numbers")
        size = tensor.numel() * tensor.element_size()
        if size > tensor.untyped_storage().nbytes():
            raise InputError(f"{path} is refused: a tensor of {tensor.numel():,} numbers is stored as fewer")
        stated += size
    if stated > MAX_RATIO * length + FREE_BYTES:
        raise InputError(f"{path} is refused: its tensors are {stated:,} bytes, far more than the file")
    return content


def _check_pickles(path: Path) -> None:
    """Raise `InputError` if the instructions of a file hash or nest what torch should not meet."""
    if not zipfile.is_zipfile(path):
        return  # files before torch 1.6
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.endswith("/data.pkl"):
                check_instructions(io.BytesIO(archive.read(member)), path)


def _tensors(content: Any, depth: int = 0) -> Iterator[Tensor]:
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, dict | list | tuple) and depth < MAX_DEPTH:
        for child in content.values() if isinstance(content, dict) else content:
            yield from _tensors(child, depth + 1)
