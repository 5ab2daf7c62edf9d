"""Atomic writes: a file or folder is there whole or not at all; equal content is equal bytes, with a checksum. What is safe to read."""

import errno
import hashlib
import json
import math
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from s2m2.errors import InputError, is_out_of_memory

if TYPE_CHECKING:
    from torch import Tensor


CHECKSUM = "checksum"
"""Key of the SHA-256 of everything else in a file."""
FAILED_WRITES = ("I/O error", "IoError", "os error")
"""Words in errors of safetensors where the system refuses a write; it raises no `OSError`."""
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.partial(\.bare)?")
"""Names that this module gives to what is not whole yet; unfinished datasets, which are continued, have others."""
LEFTOVER_SECONDS = 3600.0
"""Age from which a temporary file or folder is one that a killed process left."""


@contextmanager
def replace_file(path: Path, need: int | None = None) -> Iterator[Path]:
    """A temporary path beside `path`: the file written there is synced and renamed to `path` at the end, or removed on an error.

    A kill leaves at most the temporary file, which a later writer of `path` removes, never a partial `path`. A missing folder is created.

    Args:
        need: bytes of tensors that torch or safetensors writes there; an error states them.

    Raises:
        OSError: the system refuses; the error names `path`, whatever library wrote the file.
    """
    remove_leftovers(path.parent, of=path.name)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except Exception as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)  # first, as it is a part of what fills the disk
        if _is_write_error(error, need):
            raise _write_error(error, path, temporary, need) from error
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _is_write_error(error: Exception, need: int | None) -> bool:
    """Whether the system refused a write. torch says so by a RuntimeError of many wordings, and where it saves has no other reason."""
    if type(error) is RuntimeError and need is not None:  # only libraries of tensors state their need
        return not is_out_of_memory(error)
    return isinstance(error, OSError) or any(words in str(error) for words in FAILED_WRITES)


def _write_error(error: Exception, path: Path, temporary: Path, need: int | None) -> OSError:
    """An error of a write that names the file, the reason and the need."""
    stated = re.search(r"os error (\d+)", str(error))  # as Rust says it; torch says nothing
    number = int(stated[1]) if stated else error.errno if isinstance(error, OSError) else _why_refused(temporary, need or 1)
    reason = str(error) if number is None else os.strerror(number)
    number = number or errno.EIO
    if need is not None:
        with suppress(OSError):
            free = shutil.disk_usage(path.parent).free
            reason = f"{reason}; {need / 1e6:,.1f} MB are needed, {free / 1e6:,.1f} MB are free"
    return OSError(number, reason, str(path))


def expanded(path: str | Path) -> Path:
    """With the home folder for a leading `~`; a name such as `~old.jpg` stays what it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (that of Path stops at a `~` of no user)


def _why_refused(temporary: Path, need: int) -> int:
    """Number of the error with which the system refuses a file of so many bytes of tensors, and their names."""
    try:
        with temporary.open("wb") as file:
            if hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(file.fileno(), 0, need + need // 8 + 2**16)
    except OSError as error:
        return error.errno or errno.EIO
    return errno.EIO


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Tells a file that cannot be read for the moment from one that is damaged: the reader's own errors pass.

    Raises:
        InputError: it is a pipe or a device, or cannot be read now: rights, a disk that is gone, too many open files, too little memory.
        FileNotFoundError: there is no such file.
    """
    check_regular(path)
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and not is_out_of_memory(error):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else _first_line(error)
        raise InputError(f"{path} cannot be read now: {reason}; nothing was changed") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def remove_leftovers(folder: Path, older_than: float = LEFTOVER_SECONDS, of: str = "") -> None:
    """Remove the temporary files and folders directly in `folder` that killed processes left, by their age in seconds.

    Args:
        of: name of the one file or folder whose leftovers are meant; empty: of all.
    """
    with suppress(OSError):
        for entry in folder.iterdir():
            with suppress(OSError):
                meant = TEMPORARY.fullmatch(entry.name) and entry.name.startswith(f".{of}." if of else ".")
                if meant and time.time() - entry.lstat().st_mtime >= older_than:
                    shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


@contextmanager
def create_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`: it is synced and renamed to `folder` at the end, or removed on an error.

    A kill leaves at most the temporary folder, never a partial `folder`. Missing parents are created, and removed again on an error.
    """
    missing = [parent for parent in folder.parents if not parent.exists()]
    remove_leftovers(folder.parent, of=folder.name)
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


def check_regular(path: Path) -> None:
    """Raise `InputError` if a path leads to a pipe, a socket or a device: reading it might wait forever, or never end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return  # opening it will name it
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{path} is a pipe or a device, not a file")


def sync_folder(folder: Path) -> None:
    """Make a rename inside a folder survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_links(folder: Path, flag: str) -> None:
    """Raise `InputError` if a link in a folder leads out of it: whoever made the folder would choose what is overwritten.

    The folder itself may be a link, and links within it may lead to other places in it.
    """
    inside = folder.resolve()
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            entry = Path(parent, name)
            if entry.is_symlink() and not entry.resolve().is_relative_to(inside):
                raise InputError(
                    f"{flag} {folder}: {entry.relative_to(folder)} is a link to {entry.readlink()}; nothing is written through it"
                )


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


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a JSON file with its checksum, which comes first; numbers that are infinite or NaN become null."""
    # As it will be read: JSON has text for every key, and "10" comes before "5".
    finite = json.loads(json.dumps(_finite(content)))
    return {CHECKSUM: _checksum(finite), **finite}


def unseal(sealed: Any) -> dict[str, Any]:
    """The content that `seal` was given; files of 0.1.0 have no checksum.

    Raises:
        ValueError: it is no mapping, or another than the checksum says.
    """
    if not isinstance(sealed, dict):
        raise ValueError("it holds no mapping")
    stated = sealed.get(CHECKSUM)
    content = {key: value for key, value in sealed.items() if key != CHECKSUM}
    if stated is not None and stated != _checksum(content):
        raise ValueError("its content is not that of its checksum")
    return content


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is none, or is nested too deeply to be read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file atomically, with its checksum."""
    write_text(path, json.dumps(seal(content), indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The content of a file that `write_json`, or version 0.1.0, wrote.

    Raises:
        ValueError: the file is damaged.
        InputError: it cannot be read now.
        FileNotFoundError: there is no such file.
    """
    with reading(path):
        text = path.read_text(encoding="utf-8")
    try:
        return unseal(parse_json(text))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def write_tensors(path: Path, tensors: "Mapping[str, Tensor]", metadata: Mapping[str, str]) -> str:
    """Write a safetensors file atomically, and return its checksum, which it also states. Equal tensors and metadata give equal bytes.

    The library itself writes metadata in the random order of a hash map, so the sorted metadata is put into its header here.
    """
    from safetensors.torch import save_file

    stored = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    with replace_file(path, need=2 * sum(value.nbytes for value in stored.values())) as temporary:
        bare = temporary.with_name(f"{temporary.name}.bare")
        try:
            save_file(stored, bare)
            with bare.open("rb") as source, temporary.open("wb") as target:
                header = {"__metadata__": dict(sorted(metadata.items())), **dict(sorted(_header(source).items()))}
                checksum = _tensor_checksum(header, source)
                header["__metadata__"] = dict(sorted({**metadata, CHECKSUM: checksum}.items()))
                encoded = json.dumps(header, ensure_ascii=False).encode()
                encoded += b" " * (-len(encoded) % 8)  # data starts at a multiple of eight bytes
                target.write(len(encoded).to_bytes(8, "little") + encoded)
                _header(source)
                shutil.copyfileobj(source, target, 2**20)
        finally:
            bare.unlink(missing_ok=True)
    return checksum


def stated_checksum(path: Path) -> str | None:
    """The checksum that a safetensors file states; None for files that state none, as those of 0.1.0.

    Raises:
        ValueError: the file is damaged.
        OSError: it cannot be read.
    """
    with path.open("rb") as source:
        stated = _header(source).get("__metadata__", {}).get(CHECKSUM)
    return str(stated) if stated is not None else None


def check_tensors(path: Path) -> None:
    """Raise `ValueError` unless a safetensors file is what its checksum says, if it states one."""
    with path.open("rb") as source:
        header = _header(source)
        stated = header.get("__metadata__", {}).pop(CHECKSUM, None)
        if stated is not None and stated != _tensor_checksum(header, source):
            raise ValueError("its content is not that of its checksum")


def _header(source: IO[bytes]) -> dict[str, Any]:
    """The header of a safetensors file, after which its data begins."""
    source.seek(0)
    length = int.from_bytes(source.read(8), "little")
    if length > source.seek(0, 2):
        raise ValueError("it is cut short")
    source.seek(8)
    header = parse_json(source.read(length))
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__", {}), dict):
        raise ValueError("it has no header")
    return header


def _tensor_checksum(header: Mapping[str, Any], data: IO[bytes]) -> str:
    """SHA-256 over a header in any order, and over the rest of a file."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    while piece := data.read(2**20):
        digest.update(piece)
    return digest.hexdigest()
