"""Atomic writes: a file or folder is there whole or not at all; equal content is equal bytes."""

import json
import math
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`: the file written there is synced and renamed to `path` at the end, or removed on an error.

    A kill leaves at most the temporary file, never a partial `path`. A missing folder is created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def create_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`: it is synced and renamed to `folder` at the end, or removed on an error.

    A kill leaves at most the temporary folder, never a partial `folder`. Missing parents are created, and removed again on an error.
    """
    missing = [parent for parent in folder.parents if not parent.exists()]
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for entry in temporary.rglob("*"):
            if entry.is_dir():
                sync_folder(entry)
        sync_folder(temporary)
        temporary.rename(folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        for parent in missing:
            with suppress(OSError):  # another program has put something there
                parent.rmdir()
        raise


def sync_folder(folder: Path) -> None:
    """Make a rename inside a folder survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""First characters of a cell that a spreadsheet computes."""


def csv_cell(text: str) -> str:
    """A text as a cell of a csv file: one that a spreadsheet would compute gets an apostrophe before it, which shows it as text."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def plain_cell(text: str) -> str:
    """The text of a cell that `csv_cell` has written."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(FORMULA_STARTS) else text


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, as UTF-8; bytes of file names that are not UTF-8 become escapes."""
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def json_text(value: Any, **layout: Any) -> str:
    """A value as JSON that every program reads: numbers that are infinite or NaN, which JSON does not have, become null.

    Args:
        layout: arguments of `json.dumps`.
    """
    return json.dumps(_finite(value), allow_nan=False, **layout)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_tensors(path: Path, tensors: "Mapping[str, Tensor]", metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically. Equal tensors and metadata give equal bytes.

    The library itself writes metadata in the random order of a hash map, so the sorted metadata is put into its header here.
    """
    from safetensors.torch import save_file

    with replace_file(path) as temporary:
        bare = temporary.with_name(f"{temporary.name}.bare")
        try:
            save_file({name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}, bare)
            with bare.open("rb") as source, temporary.open("wb") as target:
                header = json.loads(source.read(int.from_bytes(source.read(8), "little")))
                text = json.dumps({"__metadata__": dict(sorted(metadata.items())), **dict(sorted(header.items()))}, ensure_ascii=False)
                encoded = text.encode()
                encoded += b" " * (-len(encoded) % 8)  # data starts at a multiple of eight bytes
                target.write(len(encoded).to_bytes(8, "little") + encoded)
                shutil.copyfileobj(source, target, 2**20)
        finally:
            bare.unlink(missing_ok=True)
