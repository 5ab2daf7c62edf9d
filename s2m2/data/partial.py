"""The hidden folder in which a dataset grows, and how one whose writer was stopped is continued.

It lies beside the folder of the dataset, so that a rename publishes it. A note in it tells how many images are safely on disk and
of which dataset they are; whatever the note does not vouch for is written again.
"""

import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
from filelock import FileLock, Timeout

from s2m2.data.dataset import IMAGES_FILE, DatasetDigest
from s2m2.errors import InputError
from s2m2.files import sync_folder, write_text

PROGRESS_FILE = "progress.json"
REREAD_BYTES = 1 << 22
"""Bytes that are read at a time where images of an earlier writer enter the digest."""

Shape = tuple[int, int, int, int]


def beside(folder: Path, what: str) -> Path:
    """The hidden path of some purpose beside a dataset."""
    return folder.with_name(f".{folder.name}.{what}")


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """What the disk refuses, as an error that names the dataset."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error


@contextmanager
def locked(folder: Path, *, wait: bool) -> Iterator[None]:
    """Only one process at a time writes a dataset. The lock falls with its process, however that ends.

    The folders above the dataset are made; those that are empty at the end go again.
    """
    lock = FileLock(beside(folder, "lock"), timeout=-1 if wait else 0)
    made: list[Path] = []
    try:
        with disk_errors(folder):
            made += [parent for parent in folder.parents if not parent.exists()]
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
    finally:
        with suppress(OSError):  # which says that something is in one of them
            for parent in made:
                parent.rmdir()


def restore(folder: Path) -> None:
    """Put right what a writer left that was killed halfway through a replacement."""
    replaced = beside(folder, "replaced")
    if replaced.exists() and not folder.exists():
        replaced.rename(folder)
    if replaced.exists():
        shutil.rmtree(replaced)


def open_images(partial: Path, shape: Shape, fingerprint: str | None, digest: DatasetDigest) -> tuple[IO[bytes], int]:
    """The file that images are appended to, and how many of an earlier writer it holds, which enter the digest.

    Raises:
        InputError: there is too little space for the others.
        OSError: the disk refuses.
    """
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    start, image = len(header.getvalue()), shape[1] * shape[2] * shape[3]
    done = _noted(partial, fingerprint)
    if not 0 < done <= shape[0] or (partial / IMAGES_FILE).stat().st_size < start + done * image:
        done = 0
    if not done and partial.exists():
        shutil.rmtree(partial)
    _check_space(partial, (shape[0] - done) * image)
    if done:
        return _continue(partial / IMAGES_FILE, start, done, shape, digest), done
    partial.mkdir()
    images: IO[bytes] = (partial / IMAGES_FILE).open("wb")
    images.write(header.getvalue())
    return images, 0


def note_progress(partial: Path, file: IO[bytes], images: int, fingerprint: str) -> None:
    """Put the images so far safely on disk, and note that they are."""
    file.flush()
    os.fsync(file.fileno())
    write_text(partial / PROGRESS_FILE, json.dumps({"fingerprint": fingerprint, "images": images}))


def publish(partial: Path, folder: Path) -> None:
    """Give a finished dataset its name, in the place of an earlier one where there is one."""
    (partial / PROGRESS_FILE).unlink(missing_ok=True)
    for file in partial.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
    sync_folder(partial)
    replaced = beside(folder, "replaced")
    if folder.exists():
        folder.rename(replaced)
    partial.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _noted(partial: Path, fingerprint: str | None) -> int:
    try:
        note = json.loads((partial / PROGRESS_FILE).read_text(encoding="utf-8"))
        return int(note["images"]) if fingerprint is not None and note["fingerprint"] == fingerprint else 0
    except (OSError, ValueError, LookupError, TypeError):
        return 0


def _continue(path: Path, start: int, images: int, shape: Shape, digest: DatasetDigest) -> IO[bytes]:
    """The file of an earlier writer, at the end of the images that are safe, which enter the digest."""
    file = path.open("r+b")
    try:
        file.seek(start)
        _reread(file, images, shape, digest)
        file.truncate(file.tell())
    except BaseException:
        file.close()
        raise
    return file


def _reread(file: IO[bytes], images: int, shape: Shape, digest: DatasetDigest) -> None:
    # Read and not mapped, as pages of a map count as memory of the process.
    piece = max(1, REREAD_BYTES // (shape[1] * shape[2] * shape[3]))
    for start in range(0, images, piece):
        count = min(piece, images - start)
        content = file.read(count * shape[1] * shape[2] * shape[3])
        digest.update(np.frombuffer(content, dtype=np.uint8).reshape(count, *shape[1:]))


def _check_space(partial: Path, needed: int) -> None:
    free = shutil.disk_usage(partial.parent).free
    if free < needed:
        hint = "a smaller --size needs less"
        raise InputError(f"too little space for {partial.parent}: {needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB free; {hint}")
