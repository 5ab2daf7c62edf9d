"""`s2m2 prepare` and the system: folders and disks that refuse, Ctrl-C and signals, memory."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from s2m2.cli import main
from s2m2.data import pool, writing
from s2m2.data.dataset import open_dataset
from tests.data.files import classes_of, complaint, png, tree, write_images, write_pickle

CLASSES = dict.fromkeys("abcde", 2)
NOBODY = 65534
"""User number without rights."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_images(tmp_path / "source", CLASSES)
    return tmp_path


@contextmanager
def unprivileged() -> Iterator[None]:
    """As a user without rights, which root has to become first."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        if not os.access(pool.__file__, os.R_OK, effective_ids=True):
            pytest.skip("the package lies in a folder that other users may not enter")
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that any user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        write_images(Path(folder, "source"), CLASSES)
        # Imports all that a user without rights may not read, in the home of root or in a private folder.
        main(["prepare", str(Path(folder, "source")), "--output", str(Path(folder, "first"))])
        shutil.rmtree(Path(folder, "first"))
        yield Path(folder)


@pytest.mark.parametrize("output", ["dataset", "deep/er/dataset"])
def test_a_folder_that_may_not_be_written(public: Path, capfd: pytest.CaptureFixture[str], output: str) -> None:
    public.chmod(0o555)
    before = tree(public)
    with unprivileged():
        said = complaint(["prepare", str(public / "source"), "--output", str(public / output)], capfd)
    assert f"cannot write {public / output}: Permission denied" in said
    assert tree(public) == before


@pytest.mark.parametrize("closed", ["source", "source/b", "source/b/1.png"])
def test_what_may_not_be_read(public: Path, capfd: pytest.CaptureFixture[str], closed: str) -> None:
    public.chmod(0o777)
    (public / closed).chmod(0)
    before = set(public.iterdir())
    with unprivileged():
        said = complaint(["prepare", str(public / "source"), "--output", str(public / "dataset")], capfd)
    assert closed in said
    assert "Permission denied" in said
    assert set(public.iterdir()) == before


def test_a_disk_with_too_little_space(root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    before = tree(root)
    said = complaint(["prepare", str(root / "source"), "--output", str(root / "dataset"), "--size", "300"], capfd)
    assert f"too little space for {root}" in said
    assert tree(root) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full, the device that is always full")
def test_a_disk_that_fills_up(root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    opened = writing.open_images

    def open_full(*given: Any) -> tuple[Any, Any]:
        images, proportions = opened(*given)
        images.close()
        return Path("/dev/full").open("wb", buffering=0), proportions

    monkeypatch.setattr(writing, "open_images", open_full)
    before = tree(root)
    said = complaint(["prepare", str(root / "source"), "--output", str(root / "dataset")], capfd)
    assert f"cannot write {root / 'dataset'}: No space left on device" in said
    assert tree(root) == before


def test_a_file_system_that_takes_no_large_file(root: Path, tmp_path: Path) -> None:
    script = "import resource, sys; from s2m2.cli import main; resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)); "
    # Python would write bytecode of what is imported later, cut short, and all other processes would read it.
    script += "sys.dont_write_bytecode = True; sys.exit(main(sys.argv[1:]))"
    before = tree(root)
    call = [sys.executable, "-c", script, "prepare", str(root / "source"), "--output", str(root / "dataset")]
    finished = subprocess.run(call, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert finished.stderr == f"s2m2 prepare: cannot write {root / 'dataset'}: File too large\n"
    assert tree(root) == before


def test_two_calls_at_once(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with FileLock(root / ".dataset.lock"):
        said = complaint(["prepare", str(root / "source"), "--output", str(root / "dataset")], capfd)
    assert f"another process is writing {root / 'dataset'}" in said
    assert not (root / "dataset").exists()


def test_ctrl_c(root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    call = ["prepare", str(root / "source"), "--output", str(root / "dataset")]
    decode, calls = pool.decode_square, []

    def decode_five(*given: Any) -> np.ndarray:
        if len(calls) == 5:
            raise KeyboardInterrupt
        calls.append(given)
        return decode(*given)

    monkeypatch.setattr(pool, "decode_square", decode_five)
    monkeypatch.setattr(pool, "PIECE", 1)
    said = complaint(call, capfd, code=130)
    assert "interrupted; the same command continues" in said
    assert not (root / "dataset").exists()
    monkeypatch.undo()
    assert main(call) == 0
    assert "continuing with 5 of 10 images" in capfd.readouterr().out
    assert main([*call[:-1], str(root / "at once")]) == 0
    assert open_dataset(root / "dataset").digest == open_dataset(root / "at once").digest
    assert sorted(path.name for path in root.iterdir()) == ["at once", "dataset", "source"]


# A job that a shell started in the background ignores SIGINT, and so do its children unless they say otherwise.
SLOW = """
    import signal, sys, time
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from s2m2.cli import main
    from s2m2.data import pool, writing
    decode = pool.decode_square
    def slowly(*given):
        time.sleep(0.05)
        return decode(*given)
    pool.decode_square, pool.PIECE, writing.PROGRESS_SECONDS = slowly, 1, 0.0
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal(root: Path, capfd: pytest.CaptureFixture[str], stop: signal.Signals) -> None:
    write_images(root / "more", dict.fromkeys("abcde", 20))
    call = ["prepare", str(root / "more"), "--output", str(root / "dataset")]
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(SLOW), *call], stderr=subprocess.PIPE, text=True)
    note = root / ".dataset.partial" / writing.PROGRESS_FILE
    while process.poll() is None and not (note.exists() and json.loads(note.read_text())["images"] >= 3):
        time.sleep(0.01)
    process.send_signal(stop)
    _, said = process.communicate()
    assert process.returncode == (130 if stop == signal.SIGINT else -stop)
    assert len(said.splitlines()) == (1 if stop == signal.SIGINT else 0)
    assert not (root / "dataset").exists()
    assert main(call) == 0
    assert " of 100 images, which were decoded before" in capfd.readouterr().out
    assert main([*call[:-1], str(root / "at once")]) == 0
    assert open_dataset(root / "dataset").digest == open_dataset(root / "at once").digest
    assert sorted(path.name for path in root.iterdir()) == ["at once", "dataset", "more", "source"]


MEGABYTE = 1 << 20
PREPARE = """
    import resource, sys
    from pathlib import Path
    from s2m2.data.prepare import prepare
    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    prepare(Path(sys.argv[1]), Path(sys.argv[2]), workers=1)
    before = peak()
    dataset = prepare(Path(sys.argv[3]), Path(sys.argv[4]), workers=1)
    print(peak() - before, dataset.images.nbytes >> 20)
"""


def growth(tmp_path: Path, small: Path, large: Path) -> tuple[int, int]:
    """Megabytes by which memory grows from the preparation of one source to that of a larger one, and megabytes of its dataset."""
    arguments = [str(path) for path in (small, tmp_path / "small dataset", large, tmp_path / "large dataset")]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(PREPARE), *arguments], capture_output=True, text=True, check=True)
    more, size = map(int, done.stdout.split()[-2:])
    return more, size


def write_mini(root: Path, each: int) -> Path:
    """The three caches, so many images of every class in each."""
    for stem, names in classes_of("mini_imagenet").items():
        images = np.full((each * len(names), 84, 84, 3), 7, dtype=np.uint8)
        indices = {name: list(range(index, len(images), len(names))) for index, name in enumerate(names)}
        write_pickle(root / f"mini-imagenet-cache-{stem}.pkl", {"image_data": images, "class_dict": indices}, 4)
    return root


def write_tiered(root: Path, each: int) -> Path:
    """The pickle pairs; every image is 20 kB long, as bytes behind the end of a PNG file are no part of it."""
    padded = np.concatenate([png(np.zeros((4, 4, 3), np.uint8)), np.zeros((20_000, 1), np.uint8)])
    for stem, names in classes_of("tiered_imagenet").items():
        write_pickle(root / f"{stem}_images_png.pkl", [padded.copy() for _ in range(each * len(names))], 4)
        write_pickle(root / f"{stem}_labels.pkl", {"label_specific": np.arange(each * len(names)) % len(names)}, 4)
    return root


def test_pickle_caches_are_not_held_in_memory(tmp_path: Path) -> None:
    more, size = growth(tmp_path, write_mini(tmp_path / "small", 1), write_mini(tmp_path / "large", 30))
    assert size == 60
    assert more < 15


def test_pickled_lists_of_encoded_images_are_not_held_in_memory(tmp_path: Path) -> None:
    large = write_tiered(tmp_path / "large", 6)
    assert sum(path.stat().st_size for path in large.iterdir()) > 65 * MEGABYTE
    more, _ = growth(tmp_path, write_tiered(tmp_path / "small", 1), large)
    assert more < 15
