"""One process at a time trains a run."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

from s2m2.runs.directory import RunDirectory


@contextmanager
def training_lock(run: RunDirectory) -> Iterator[bool]:
    """Whether no other process trains the run; none can until the end. The lock falls with its process, however that ends."""
    lock = FileLock(run.training_lock, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError):
        yield True  # a disk that knows no locks; what it refuses to write is told where it is written
        return
    try:
        yield True
    finally:
        with suppress(OSError):  # while it is held, so that nobody's lock is taken away
            run.training_lock.unlink()
        lock.release()
