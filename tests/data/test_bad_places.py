"""Folders and disks that refuse, and datasets that something happened to: one line that names them, and nothing is left."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

from s2m2.cli import main
from s2m2.data import partial, writing
from s2m2.data.dataset import DATASET_FILE, IMAGES_FILE, LABELS_FILE
from tests.data.command_line import complaint, tree
from tests.data.images import write_images

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
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that any user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        write_images(Path(folder, "source"), CLASSES)
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
    monkeypatch.setattr(partial.shutil, "disk_usage", lambda place: SimpleNamespace(free=1_000_000))
    before = tree(root)
    said = complaint(["prepare", str(root / "source"), "--output", str(root / "dataset"), "--size", "300"], capfd)
    assert f"too little space for {root}" in said
    assert tree(root) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full, the device that is always full")
def test_a_disk_that_fills_up(root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    opened = partial.open_images

    def open_full(*given: Any) -> tuple[Any, int]:
        opened(*given)[0].close()
        return Path("/dev/full").open("wb", buffering=0), 0

    monkeypatch.setattr(writing, "open_images", open_full)
    before = tree(root)
    said = complaint(["prepare", str(root / "source"), "--output", str(root / "dataset")], capfd)
    assert f"cannot write {root / 'dataset'}: No space left on device" in said
    assert tree(root) == before


def test_a_file_system_that_takes_no_large_file(root: Path, tmp_path: Path) -> None:
    script = "import resource, sys; from s2m2.cli import main; resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)); "
    script += "sys.exit(main(sys.argv[1:]))"
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


def shortened(file: str, keep: int) -> Callable[[Path], None]:
    return lambda dataset: (dataset / file).write_bytes((dataset / file).read_bytes()[:keep]) and None


def described(**change: object) -> Callable[[Path], None]:
    def spoil(dataset: Path) -> None:
        content = json.loads((dataset / DATASET_FILE).read_text(encoding="utf-8"))
        (dataset / DATASET_FILE).write_text(json.dumps(content | change))

    return spoil


TABLES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short": (shortened(IMAGES_FILE, 1000), "images.npy is cut short"),
    "cut short inside its head": (shortened(IMAGES_FILE, 20), "images.npy is damaged"),
    "labels cut short": (shortened(LABELS_FILE, 150), "labels.npy is damaged or cut short"),
    "description cut short": (shortened(DATASET_FILE, 30), "dataset is not a dataset"),
    "without labels": (lambda dataset: (dataset / LABELS_FILE).unlink(), "it has no labels.npy"),
    "without a description": (lambda dataset: (dataset / DATASET_FILE).unlink(), "it has no dataset.json"),
    "of an older format": (described(format=0), "dataset.json has format 0, not 1; prepare the dataset again"),
    "of a newer format": (described(format=2), "dataset.json has format 2, not 1"),
    "with more images than it holds": (described(images=11), "does not hold the 11 images"),
    "with a class too few": (described(class_names=["a"]), "labels.npy has a label that is none of the 1 classes"),
    "with a class in two splits": (described(splits={"base": [0, 1], "validation": [1], "novel": []}), "class in two splits"),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_damaged_table_is_named_before_a_run_begins(root: Path, capfd: pytest.CaptureFixture[str], case: str) -> None:
    spoil, names = TABLES[case]
    assert main(["prepare", str(root / "source"), "--output", str(root / "dataset")]) == 0
    spoil(root / "dataset")
    before = tree(root)
    said = complaint(["pretrain", "--run", str(root / "run"), "--data.path", str(root / "dataset")], capfd)
    assert names in said
    assert tree(root) == before
