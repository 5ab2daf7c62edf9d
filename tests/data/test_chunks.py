"""Checksums of a dataset: every flipped bit is found, when the image is used or when the dataset is opened, and not before."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from s2m2.data import chunks
from s2m2.data.batches import BatchReader, fetch, resident
from s2m2.data.chunks import CheckedChunks, ChunkSums
from s2m2.data.dataset import DATASET_FILE, IMAGES_FILE, LABELS_FILE, PROPORTIONS_FILE, ImageDataset, LabeledImages, open_dataset
from s2m2.data.writing import DatasetContents, write_dataset, writing_dataset
from s2m2.errors import InputError
from s2m2.evaluation.features import extract_features
from s2m2.random import StepStream

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 4, 4, 3), dtype=np.uint8)
PROPORTIONS = np.linspace(0.5, 2.0, 23, dtype=np.float32)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five images of a chunk."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 5 * 48 + 47)


def contents() -> DatasetContents:
    splits = {"base": (0,), "validation": (1,), "novel": (2,)}
    return DatasetContents(name="n", size=(4, 4), labels=np.arange(23) // 8, class_names=tuple("abc"), splits=splits, settings={"side": 4})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "dataset", contents(), iter([IMAGES[:3], IMAGES[3:17], IMAGES[17:]]))
    return tmp_path / "dataset"


@pytest.fixture
def squeezed(tmp_path: Path) -> Path:
    """A dataset of images that were not squares."""
    with writing_dataset(tmp_path / "squeezed", contents()) as writer:
        writer.append(IMAGES, PROPORTIONS)
        writer.finish()
    return tmp_path / "squeezed"


def flip(path: Path, position: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


def flip_pixel(folder: Path, image: int) -> None:
    flip(folder / IMAGES_FILE, (folder / IMAGES_FILE).stat().st_size - IMAGES.nbytes + image * 48 + 7)


def features(dataset: ImageDataset, indices: torch.Tensor) -> torch.Tensor:
    flat = torch.nn.Flatten()
    return extract_features(flat, dataset.image_tensor(), indices, lambda images: images.float(), batch_size=2)


READERS: dict[str, Callable[[ImageDataset, torch.Tensor], object]] = {
    "fetch": lambda dataset, indices: fetch(dataset.image_tensor(), indices, CPU),
    "features": features,
    "one image": lambda dataset, indices: [dataset.image(index) for index in indices.tolist()],
}


@pytest.mark.parametrize("reader", READERS)
def test_a_flipped_bit_is_found_when_an_image_of_its_chunk_is_used_and_not_before(folder: Path, reader: str) -> None:
    flip_pixel(folder, 12)
    dataset = open_dataset(folder)
    READERS[reader](dataset, torch.tensor([0, 9, 15, 22, 9]))
    for index in (10, 14, 12):
        with pytest.raises(InputError, match=r"images\.npy is damaged: images 10 to 14 are not as written, by the checksum"):
            READERS[reader](dataset, torch.tensor([3, index]))


def test_training_and_a_copy_to_a_device_find_it_too(folder: Path) -> None:
    flip_pixel(folder, 22)
    dataset = open_dataset(folder)
    images, indices = dataset.image_tensor(), torch.arange(23)
    stream = StepStream(seed=0, stage="s", step=0, batch_size=23)
    with pytest.raises(InputError, match="images 20 to 22 are not as written"):
        BatchReader(LabeledImages(images=images, indices=indices, labels=indices), lambda step: stream, CPU, end=1)(0)
    assert resident(images, CPU) is images, "nothing is read"


def test_a_chunk_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, calls = open_dataset(folder), []
    sha256 = chunks.hashlib.sha256
    monkeypatch.setattr(chunks.hashlib, "sha256", lambda content: calls.append(len(content)) or sha256(content))
    for _ in range(3):
        fetch(dataset.image_tensor(), torch.tensor([1, 2, 7]), CPU)
    assert calls == [5, 5]
    fetch(dataset.image_tensor(), torch.arange(23), CPU)
    assert calls == [5, 5, 5, 5, 3]


@pytest.mark.parametrize("file", [LABELS_FILE, DATASET_FILE, IMAGES_FILE, PROPORTIONS_FILE])
def test_any_flipped_bit_changes_nothing_or_is_an_error(squeezed: Path, file: str) -> None:
    """A bit of white space or of a header's padding may change nothing; no other one is used silently."""
    folder = squeezed
    whole = (folder / file).read_bytes()
    length = len(whole) if file != IMAGES_FILE else len(whole) - IMAGES.nbytes + 100
    before, found = open_dataset(folder), 0
    for position in range(length):
        (folder / file).write_bytes(whole)
        flip(folder / file, position, position % 8)
        try:
            dataset = open_dataset(folder)
            fetch(dataset.image_tensor(), torch.arange(23), CPU)
        except InputError:
            found += 1
        else:
            for name in ("name", "class_names", "splits", "digest", "settings"):
                assert getattr(dataset, name) == getattr(before, name)
            np.testing.assert_array_equal(dataset.labels, before.labels)
            np.testing.assert_array_equal(dataset.proportions, PROPORTIONS)
            np.testing.assert_array_equal(dataset.images, IMAGES)
    assert found > 0.6 * length


def test_an_interrupted_writer_leaves_the_same_checksums(folder: Path, tmp_path: Path) -> None:
    with suppress(KeyboardInterrupt), writing_dataset(tmp_path / "again", contents(), fingerprint="f") as writer:
        writer.append(IMAGES[:13])
        raise KeyboardInterrupt
    with writing_dataset(tmp_path / "again", contents(), fingerprint="f") as writer:
        assert writer.written == 13
        writer.append(IMAGES[13:])
        writer.finish()
    described = [json.loads((place / DATASET_FILE).read_text()) for place in (folder, tmp_path / "again")]
    assert described[0] == described[1]


@pytest.mark.parametrize("pixels", [1, 16, 94, 10**5])
def test_checksums_do_not_depend_on_the_pieces(pixels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (11, 1, pixels, 3), dtype=np.uint8)
    texts = set()
    for piece in (1, 2, 11):
        sums = ChunkSums(3 * pixels)
        for start in range(0, 11, piece):
            sums.update(images[start : start + piece])
        texts.add(sums.text())
    assert len(texts) == 1
    checked = CheckedChunks(images, sums.images, texts.pop(), Path("x"))
    checked.check(range(11))
    with pytest.raises(ValueError, match="checksums of 11 images"):
        CheckedChunks(images, sums.images, "00" * 80, Path("x"))
