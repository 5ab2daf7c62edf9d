"""Writing a table picture by picture, so that it appears under its name whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from filelock import FileLock, Timeout
from jaxtyping import Int64, UInt8

from s2m2.data.table import IMAGES_FILE, LABELS_FILE, SPLITS, TABLE_FILE, TABLE_FORMAT, ImageTable, Split, open_table, table_digest
from s2m2.errors import InputError
from s2m2.files import sync_folder


@dataclass(kw_only=True, eq=False)
class TableWriter:
    """Takes the pictures of a table in order, then everything else; made by `writing_table`."""

    folder: Path
    """Where the table shall be."""
    partial: Path
    """Where it is until it is whole."""
    images: IO[bytes]
    shape: tuple[int, int, int, int]
    """Number, height, width and channels of the pictures."""
    written: int = 0
    """Pictures appended so far."""

    def append(self, images: UInt8[np.ndarray, "image height width 3"]) -> None:
        """Write the next pictures."""
        with _disk(self.folder):
            # Appended rather than stored through a memory map, so that a full disk is an error and not a crash.
            self.images.write(np.ascontiguousarray(images).data)
        self.written += len(images)

    def finish(
        self,
        *,
        name: str,
        labels: Int64[np.ndarray, " image"],
        class_names: tuple[str, ...],
        splits: Mapping[Split, tuple[int, ...]],
        settings: Mapping[str, Any],
    ) -> ImageTable:
        """Write what is not pictures, sync everything, and give the folder its name.

        Raises:
            InputError: the disk refuses.
            ValueError: there are not as many pictures or labels as the writer was made for.
        """
        if not self.written == len(labels) == self.shape[0]:
            raise ValueError(f"{self.written} pictures and {len(labels)} labels for a table of {self.shape[0]}")
        complete = {split: tuple(splits.get(split, ())) for split in SPLITS}
        with _disk(self.folder):
            self.images.close()
            np.save(self.partial / LABELS_FILE, labels, allow_pickle=False)
            images = np.load(self.partial / IMAGES_FILE, mmap_mode="r", allow_pickle=False)
            described = {
                "format": TABLE_FORMAT,
                "name": name,
                "images": len(labels),
                "class_names": class_names,
                "splits": complete,
                "digest": table_digest(images, labels, class_names, complete, settings),
                "settings": dict(settings),
            }
            (self.partial / TABLE_FILE).write_text(json.dumps(described, ensure_ascii=False, indent=1), encoding="utf-8")
            del images
            _sync(self.partial)
            _exchange(self.partial, self.folder)
        return open_table(self.folder)


@contextmanager
def writing_table(folder: Path, *, shape: tuple[int, int, int], overwrite: bool = False, wait: bool = False) -> Iterator[TableWriter]:
    """A writer for the table in `folder`, which appears there when `finish` is called and never before.

    The table is written into a hidden folder beside its own. On any error, Ctrl-C included, that is removed; what a kill leaves
    of it, the next writer of the same table removes.

    Args:
        folder: where the table shall be; the folders above it are made.
        shape: number, height and width of the pictures.
        overwrite: replace a table that is there. A folder that holds anything else is never replaced.
        wait: wait for another process that writes the same table, instead of raising.

    Raises:
        InputError: something is there already, another process is writing it, or the disk refuses.
    """
    partial = _beside(folder, "partial")
    with _lock(folder, wait=wait):
        with _disk(folder):
            _remove_leftovers(folder)
            check_output(folder, overwrite=overwrite)
        try:
            with _disk(folder):
                partial.mkdir()
                images = (partial / IMAGES_FILE).open("wb")
            with images:
                np.lib.format.write_array_header_1_0(images, {"descr": "|u1", "fortran_order": False, "shape": (*shape, 3)})
                yield TableWriter(folder=folder, partial=partial, images=images, shape=(*shape, 3))
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def write_table(
    folder: Path,
    images: Iterable[UInt8[np.ndarray, "image height width 3"]],
    *,
    shape: tuple[int, int, int],
    name: str,
    labels: Int64[np.ndarray, " image"],
    class_names: tuple[str, ...],
    splits: Mapping[Split, tuple[int, ...]],
    settings: Mapping[str, Any],
    overwrite: bool = False,
) -> ImageTable:
    """Write a whole table from pieces of its pictures; arguments and errors are those of `writing_table` and `TableWriter.finish`."""
    with writing_table(folder, shape=shape, overwrite=overwrite) as writer:
        for piece in images:
            writer.append(piece)
        return writer.finish(name=name, labels=labels, class_names=class_names, splits=splits, settings=settings)


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Raise `InputError` unless a table may be written to `folder`."""
    if not os.path.lexists(folder):
        return
    ours = folder.is_dir() and {item.name for item in folder.iterdir()} <= {IMAGES_FILE, LABELS_FILE, TABLE_FILE}
    if not ours:
        raise InputError(f"{folder} exists and is no table; choose another --output")
    if not overwrite and any(folder.iterdir()):
        raise InputError(f"{folder} exists; choose another --output or give --overwrite true")


def _beside(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}.{what}")


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error


@contextmanager
def _lock(folder: Path, *, wait: bool) -> Iterator[None]:
    """Only one process at a time writes a table. The lock falls with its process, however that ends."""
    lock = FileLock(_beside(folder, "lock"), timeout=-1 if wait else 0)
    with _disk(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout as error:
            raise InputError(f"another process is writing {folder}") from error
    try:
        yield
    finally:
        # While it is held: who waits for the file then sees that it is gone, and makes another.
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


def _remove_leftovers(folder: Path) -> None:
    """Put right what a killed writer left: its pictures, or the old table halfway through its replacement."""
    replaced = _beside(folder, "replaced")
    if replaced.exists() and not folder.exists():
        replaced.rename(folder)
    for leftover in (replaced, _beside(folder, "partial")):
        if leftover.exists():
            shutil.rmtree(leftover)


def _sync(folder: Path) -> None:
    for file in folder.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
    sync_folder(folder)


def _exchange(partial: Path, folder: Path) -> None:
    replaced = _beside(folder, "replaced")
    if folder.exists():
        folder.rename(replaced)
    partial.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(replaced, ignore_errors=True)
