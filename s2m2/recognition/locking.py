"""One process at a time changes a model's folder: each of two would overwrite what the other has learned."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from s2m2.errors import InputError
from s2m2.io import refuse_links

LOCK = ".model.lock"
"""In the folder of a model that a process may change."""


@contextmanager
def model_lock(folder: Path) -> Iterator[None]:
    """Keep other processes from changing a model, from before it is loaded until it is saved. The lock ends with its process.

    What does not exist, and a folder on a disk without locks or that cannot be written, is not locked.

    Raises:
        InputError: another process has it, or a link in the folder leads out of it.
    """
    refuse_links(folder, "model")
    lock = FileLock(folder / LOCK, timeout=0)
    locked = folder.is_dir() and _acquired(lock, folder)
    try:
        yield
    finally:
        if locked:
            with suppress(OSError):  # before the release, so that no other process's lock is removed
                (folder / LOCK).unlink()
            lock.release()


def _acquired(lock: BaseFileLock, folder: Path) -> bool:
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(f"{folder} is in use by another process (serve or fit); wait for it or stop it, or copy the folder") from error
    except (OSError, NotImplementedError):
        return False  # such a disk takes no changes either, or only one process uses it
    return True
