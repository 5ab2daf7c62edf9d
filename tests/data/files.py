"""Small image files and trees in the layouts of the datasets, and the command line as a user sees it."""

import io
import os
import pickle
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2m2.cli import main
from s2m2.data.dataset import SPLITS
from s2m2.data.decode import decode_image
from s2m2.data.sources import Listing
from s2m2.data.splits import read_packaged_list


def write_images(root: Path, classes: dict[str, int], size: int = 8) -> Path:
    """A folder of class folders with so many PNG images each, every image of one color that tells its class and index."""
    for label, (name, count) in enumerate(classes.items()):
        (root / name).mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", (size, size), (label, index, 100)).save(root / name / f"{index}.png")
    return root


def noise_image(width: int, height: int, seed: int = 0) -> Image.Image:
    """Random pixels, which compress badly, so that cutting the file short cuts pixels off."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def die(*arguments: object, **options: object) -> None:
    """End this process as the system does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def tree(folder: Path) -> set[str]:
    """Everything below a folder, and what its files hold."""
    entries = set()
    for parent, folders, files in os.walk(folder):
        entries |= {str(Path(parent, name)) for name in folders}
        entries |= {f"{Path(parent, name)} {Path(parent, name).lstat().st_size}" for name in files}
    return entries


def complaint(arguments: list[str], capfd: pytest.CaptureFixture[str], code: int = 2) -> str:
    """The one line that a call leaves on standard error."""
    capfd.readouterr()
    assert main(arguments) == code
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"s2m2 {arguments[0]}: ")
    return lines[0]


STEMS = {"base": "train", "validation": "val", "novel": "test"}


def touch(root: Path, files: Iterable[str]) -> Path:
    """Empty files below `root`."""
    made: set[str] = set()
    for file in files:
        path = f"{root}/{file}"
        folder = path.rpartition("/")[0]
        if folder not in made:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - tens of thousands of files, and Path takes its time
            made.add(folder)
        os.close(os.open(path, os.O_CREAT))
    return root


def write_pickle(path: Path, content: object, protocol: int = 4) -> Path:
    """A pickle."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def classes_of(name: str) -> dict[str, tuple[str, ...]]:
    """Packaged class names by the usual name of their split: train, val, test."""
    lists = read_packaged_list(name)
    return {STEMS[split]: lists[split] for split in SPLITS}


def noise(count: int, size: int = 84, seed: int = 0) -> np.ndarray:
    """Random images."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> np.ndarray:
    """The bytes of a PNG file as OpenCV gives them: a column of numbers."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return np.frombuffer(file.getvalue(), np.uint8)[:, None]


def write_lists(root: Path, rows: Mapping[str, Iterable[tuple[str, str]]]) -> Path:
    """csv files of file names and labels."""
    root.mkdir(parents=True, exist_ok=True)
    for stem, pairs in rows.items():
        lines = "".join(f"{file},{label}\n" for file, label in pairs)
        (root / f"{stem}.csv").write_text(f"filename,label\n{lines}", encoding="utf-8")
    return root


def by_class(listing: Listing) -> dict[str, list[str]]:
    """File names of each class, in the listing's order."""
    entries: dict[str, list[str]] = {name: [] for name in listing.class_names}
    for image, label in zip(listing.images, listing.labels, strict=True):
        entries[listing.class_names[label]].append(Path(image.name).name)
    return entries


def pixels(listing: Listing, class_name: str, size: int) -> list[np.ndarray]:
    """The decoded images of a class."""
    number = listing.class_names.index(class_name)
    return [decode_image(image, size) for image, label in zip(listing.images, listing.labels, strict=True) if label == number]
