"""A real file system that fills up while a command writes: one line says so, and with more room the same command ends as it should."""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.soak.kills import REFUSED, Scenario, written
from benchmarks.soak.outcomes import grow_old, leftovers
from benchmarks.soak.runner import call, fresh_copy
from benchmarks.soak.states import States

BLOCK = 4096
"""Bytes of a page of a file system in memory, the least that a file takes."""
ROOM = 2**28
"""Bytes of the disk once there is room."""


def can_mount(folder: Path) -> bool:
    """Whether this process may mount file systems, as root may."""
    try:
        with small_disk(folder, BLOCK * 4):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system in memory of a size in bytes."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


def used(disk: Path) -> int:
    """Bytes that the files on a disk take."""
    state = os.statvfs(disk)
    return (state.f_blocks - state.f_bfree) * state.f_frsize


def growth_of(states: States, scenario: Scenario, disk: Path) -> int:
    """Bytes that a command adds."""
    with small_disk(disk, ROOM):
        folder = fresh_copy(states.root, disk / "folder")
        before = used(disk)
        call(scenario.arguments, folder)
        return used(disk) - before


def fill(
    states: States, scenario: Scenario, whole: dict[str, str], growth: int, disk: Path, generator: random.Random
) -> tuple[bool, str | None]:
    """Call a command on a disk that is too small, then again with room; whether it was too small, and what went wrong, or None.

    Args:
        whole: what an undisturbed call leaves.
        growth: bytes that it adds.
        disk: folder to mount the disk at.
    """
    room = int(generator.uniform(0, 1) * growth)
    where = f"{scenario.name}, room for {room:,} bytes of {growth:,}"
    with small_disk(disk, ROOM):
        folder = fresh_copy(states.root, disk / "folder")
        _resize(disk, used(disk) + room)
        ended = call(scenario.arguments, folder)
        if ended.is_defect or ended.code not in (0, scenario.code, 1, REFUSED):
            return True, f"{where}: ended with {ended.code}: {ended.text[-2000:]}"
        if ended.code != REFUSED:  # it found room enough
            return False, None
        _resize(disk, ROOM)
        grow_old(folder)
        finished = call(scenario.arguments, folder)
        if finished.is_defect or finished.code not in ((0, REFUSED) if scenario.may_refuse else (scenario.code,)):
            return True, f"{where}: with room it ended with {finished.code}: {finished.text[-2000:]}"
        left = written(folder, scenario)
        if left != whole:
            different = sorted(name for name in left.keys() | whole.keys() if left.get(name) != whole.get(name))
            return True, f"{where}: other content in {', '.join(different[:5])}, after {ended.last_line}"
        strays = leftovers(folder)
        return True, f"{where}: {', '.join(strays[:5])} left" if strays else None


def _resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True, capture_output=True)
