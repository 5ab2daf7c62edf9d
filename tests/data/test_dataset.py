"""Opening a prepared dataset: its content, its digest, and every way in which it can be damaged."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from s2m2.data.dataset import DATASET_FILE, IMAGES_FILE, LABELS_FILE, OLD_DATASET_FILE, ImageDataset, dataset_digest, open_dataset
from s2m2.data.writing import DatasetContents, write_dataset
from s2m2.errors import InputError
from tests.data.files import complaint, tree


@pytest.fixture
def dataset(tmp_path: Path) -> ImageDataset:
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    contents = DatasetContents(
        name="six",
        size=(4, 4),
        labels=np.array([0, 0, 1, 1, 2, 2]),
        class_names=("a", "b", "ç"),
        splits={"base": (0, 2), "validation": (1,)},
        settings={"side": 4},
    )
    return write_dataset(tmp_path / "dataset", contents, [images])


def test_indices_are_those_of_the_classes_of_a_split(dataset: ImageDataset) -> None:
    assert dataset.indices("base").tolist() == [0, 1, 4, 5]
    assert dataset.indices("validation").tolist() == [2, 3]


def test_an_empty_split_is_an_error_naming_dataset_and_split(dataset: ImageDataset) -> None:
    with pytest.raises(InputError, match="dataset six has no novel classes"):
        dataset.indices("novel")


def test_an_opened_dataset_is_the_written_one(dataset: ImageDataset, tmp_path: Path) -> None:
    opened = open_dataset(tmp_path / "dataset")
    np.testing.assert_array_equal(opened.images, dataset.images)
    np.testing.assert_array_equal(opened.labels, dataset.labels)
    assert (opened.name, opened.class_names, opened.settings) == ("six", ("a", "b", "ç"), {"side": 4})
    assert opened.splits == {"base": (0, 2), "validation": (1,), "novel": ()}


def test_the_tensor_fractions_memory_and_never_changes_the_file(dataset: ImageDataset, tmp_path: Path) -> None:
    dataset.image_tensor()[0, 0, 0, 0] ^= 255
    assert open_dataset(tmp_path / "dataset").images[0, 0, 0, 0] != dataset.images[0, 0, 0, 0]


def test_the_digest_depends_on_every_part(dataset: ImageDataset) -> None:
    changed = dataset.images.copy()
    changed[-1, -1, -1, -1] ^= 1
    variants = [
        dataset,
        replace(dataset, images=changed),
        replace(dataset, labels=dataset.labels[::-1].copy()),
        replace(dataset, class_names=("a", "c", "b")),
        replace(dataset, splits={"base": (0, 1), "validation": (2,), "novel": ()}),
        replace(dataset, settings={"side": 5}),
    ]
    digests = [dataset_digest(one.images, one.labels, one.class_names, one.splits, one.settings) for one in variants]
    assert digests[0] == dataset.digest
    assert len(set(digests)) == len(variants)


def test_a_missing_folder_is_an_error_naming_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere is not a dataset that `s2m2 prepare` wrote"):
        open_dataset(tmp_path / "nowhere")


@pytest.mark.parametrize("file", [IMAGES_FILE, LABELS_FILE, DATASET_FILE])
@pytest.mark.parametrize("keep", [0, 20, -1])
def test_a_file_cut_short_is_an_error_of_one_line(dataset: ImageDataset, tmp_path: Path, file: str, keep: int) -> None:
    path = tmp_path / "dataset" / file
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=rf"{file} is (damaged|cut short)|is not a dataset") as caught:
        open_dataset(tmp_path / "dataset")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", [IMAGES_FILE, LABELS_FILE, DATASET_FILE])
def test_a_missing_file_is_an_error_naming_it(dataset: ImageDataset, tmp_path: Path, file: str) -> None:
    (tmp_path / "dataset" / file).unlink()
    with pytest.raises(InputError, match=rf"is not a dataset .*: it has no {file}"):
        open_dataset(tmp_path / "dataset")


def without_checksums(folder: Path) -> Path:
    """A dataset as s2m2 0.1.0 wrote it, but for the name of its description."""
    path = folder / DATASET_FILE
    described = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({key: described[key] for key in described if key not in ("chunks", "check")} | {"format": 1}))
    return folder


def test_a_dataset_of_s2m2_0_1_0_opens(dataset: ImageDataset, tmp_path: Path) -> None:
    without_checksums(tmp_path / "dataset")
    (tmp_path / "dataset" / DATASET_FILE).rename(tmp_path / "dataset" / OLD_DATASET_FILE)
    assert open_dataset(tmp_path / "dataset").digest == dataset.digest


def test_labeled_images_are_those_of_a_split(dataset: ImageDataset) -> None:
    labeled = dataset.labeled("base")
    assert (labeled.indices.tolist(), labeled.labels.tolist(), labeled.class_names) == ([0, 1, 4, 5], [0, 0, 2, 2], dataset.class_names)
    selected = labeled.select(torch.tensor([3, 0]))
    assert (len(labeled), len(selected)) == (4, 2)
    np.testing.assert_array_equal(selected.images[selected.indices].numpy(), dataset.images[[5, 0]])


def test_a_file_that_is_too_long_is_an_error(dataset: ImageDataset, tmp_path: Path) -> None:
    path = tmp_path / "dataset" / IMAGES_FILE
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(InputError, match=r"images\.npy is too long: 289 bytes of images, not 288"):
        open_dataset(tmp_path / "dataset")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 4}, r"dataset\.json has format 4, not 3"),
        ({"format": 0}, "has format 0, not 3; prepare the dataset again"),
        ({"images": 7}, "does not hold the 7 images"),
        ({"class_names": ["a", "b"]}, r"labels\.npy has a label that is none of the 2 classes"),
        ({"splits": {"base": [0, 1], "validation": [1], "novel": []}}, "a class in two splits"),
        ({"splits": {"base": [0], "validation": [9], "novel": []}}, "one that does not exist"),
        ({"splits": {"base": [0]}}, "is not a dataset"),
        ({"splits": 3}, "is not a dataset"),
        ({"settings": None}, "is not a dataset"),
    ],
)
def test_a_description_that_does_not_fit_is_an_error(dataset: ImageDataset, tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = without_checksums(tmp_path / "dataset") / DATASET_FILE
    described = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(described | change))
    with pytest.raises(InputError, match=says):
        open_dataset(tmp_path / "dataset")


@pytest.mark.parametrize("content", ["[]", "null", "3", '{"format": 1}', "[" * 100_000])
def test_any_other_json_is_an_error(dataset: ImageDataset, tmp_path: Path, content: str) -> None:
    (tmp_path / "dataset" / DATASET_FILE).write_text(content)
    with pytest.raises(InputError, match="is not a dataset"):
        open_dataset(tmp_path / "dataset")


@pytest.mark.parametrize(
    ("file", "array"),
    [
        (LABELS_FILE, np.zeros(6, np.int32)),
        (LABELS_FILE, np.zeros((6, 1), np.int64)),
        (LABELS_FILE, np.full(6, -1)),
        (IMAGES_FILE, np.zeros((6, 4, 4), np.uint8)),
        (IMAGES_FILE, np.zeros((6, 4, 4, 3), np.float32)),
        (IMAGES_FILE, np.zeros((6, 4, 4, 1), np.uint8)),
        (IMAGES_FILE, np.zeros((0, 4, 4, 3), np.uint8)),
    ],
)
def test_another_array_is_an_error_naming_its_file(dataset: ImageDataset, tmp_path: Path, file: str, array: np.ndarray) -> None:
    np.save(without_checksums(tmp_path / "dataset") / file, array)
    with pytest.raises(InputError, match=file):
        open_dataset(tmp_path / "dataset")


def test_a_dataset_larger_than_memory_opens_at_once(tmp_path: Path) -> None:
    """A sparse file of a terabyte takes no space; it could not be mapped if memory were set aside for it."""
    count = 450_000
    size = 860
    tmp_path.joinpath("dataset").mkdir()
    with (tmp_path / "dataset" / IMAGES_FILE).open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (count, size, size, 3)})
        file.truncate(file.tell() + count * size * size * 3)
    np.save(tmp_path / "dataset" / LABELS_FILE, np.arange(count) % 608)
    described = {"format": 1, "name": "", "images": count, "class_names": [f"n{number}" for number in range(608)], "digest": ""}
    splits = {"base": list(range(351)), "validation": list(range(351, 448)), "novel": list(range(448, 608))}
    (tmp_path / "dataset" / DATASET_FILE).write_text(json.dumps(described | {"splits": splits, "settings": {}}))
    seconds = []
    for _ in range(5):
        began = time.process_time()
        dataset = open_dataset(tmp_path / "dataset")
        seconds.append(time.process_time() - began)
    assert dataset.images.nbytes > 0.99e12
    assert not dataset.image_tensor()[-1].any()
    assert min(seconds) < 0.05


@pytest.mark.parametrize(("file", "keep", "says"), [(IMAGES_FILE, 300, "images.npy is cut short"), (DATASET_FILE, 30, "is not a dataset")])
def test_a_damaged_dataset_is_named_before_a_run_begins(
    dataset: ImageDataset, tmp_path: Path, capfd: pytest.CaptureFixture[str], file: str, keep: int, says: str
) -> None:
    path = tmp_path / "dataset" / file
    path.write_bytes(path.read_bytes()[:keep])
    before = tree(tmp_path)
    assert says in complaint(["pretrain", "--run", str(tmp_path / "run"), "--data.path", str(tmp_path / "dataset")], capfd)
    assert tree(tmp_path) == before
