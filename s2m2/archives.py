"""How much a file may stand for, told before any of it is unpacked, and the checksums of archives (`.npz` files, those of torch)."""

import math
import os
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

MAX_RATIO, FREE_BYTES = 100, 1 << 20
"""Bytes that may come out of a byte of a file, and besides. Features of images are packed to a tenth at most, zeros to a thousandth."""


def stands_for_too_much(size: int, length: int) -> bool:
    """Whether a file of `length` bytes may not hold `size` bytes, whatever packs them: zip, HDF5, or one number for many."""
    return size > MAX_RATIO * length + FREE_BYTES


def archive_fault(path: Path) -> str | None:
    """Why an archive is not to be unpacked; None where nothing speaks against it, or where it is none.

    Its files are too much for its length, or an array in it says that it is larger than its file.
    """
    try:
        if not zipfile.is_zipfile(path):
            return None
        with zipfile.ZipFile(path) as archive:
            unpacked, length = sum(member.file_size for member in archive.infolist()), os.path.getsize(path)  # noqa: PTH202 (a descriptor too)
            if stands_for_too_much(unpacked, length):
                return f"unpacks to {unpacked:,} bytes, more than {MAX_RATIO} times its length"
            for member in archive.infolist():
                if member.filename.endswith(".npy"):
                    with archive.open(member) as file:
                        stated = _stated_bytes(file)
                    if stated > member.file_size:
                        return f"has an array {member.filename.removesuffix('.npy')[:60]} of {stated:,} bytes in {member.file_size:,}"
    except Exception:  # what reads it will name the damage
        return None
    return None


def check_archive(path: Path) -> None:
    """Raise `ValueError` unless every file in a zip archive has the checksum that the archive states; torch itself compares none."""
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
    if broken is not None:
        raise ValueError(f"{broken} is not what its checksum says")


def _stated_bytes(file: IO[bytes] | zipfile.ZipExtFile) -> int:
    """Bytes of the array whose `.npy` file this is, by its header."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return math.prod(shape) * dtype.itemsize
