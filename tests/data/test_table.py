import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2m2.data.table import IMAGES_FILE, LABELS_FILE, TABLE_FILE, ImageTable, open_table, table_digest
from s2m2.data.writing import TableContents, write_table
from s2m2.errors import InputError


@pytest.fixture
def table(tmp_path: Path) -> ImageTable:
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    contents = TableContents(
        name="six",
        size=(4, 4),
        labels=np.array([0, 0, 1, 1, 2, 2]),
        class_names=("a", "b", "ç"),
        splits={"base": (0, 2), "validation": (1,)},
        settings={"side": 4},
    )
    return write_table(tmp_path / "table", contents, [images])


def test_rows_are_those_of_the_classes_of_a_split(table: ImageTable) -> None:
    assert table.rows("base").tolist() == [0, 1, 4, 5]
    assert table.rows("validation").tolist() == [2, 3]


def test_an_empty_split_is_an_error_naming_data_set_and_split(table: ImageTable) -> None:
    with pytest.raises(InputError, match="data set six has no novel classes"):
        table.rows("novel")


def test_an_opened_table_is_the_written_one(table: ImageTable, tmp_path: Path) -> None:
    opened = open_table(tmp_path / "table")
    np.testing.assert_array_equal(opened.images, table.images)
    np.testing.assert_array_equal(opened.labels, table.labels)
    assert (opened.name, opened.class_names, opened.settings) == ("six", ("a", "b", "ç"), {"side": 4})
    assert opened.splits == {"base": (0, 2), "validation": (1,), "novel": ()}


def test_the_tensor_shares_memory_and_never_changes_the_file(table: ImageTable, tmp_path: Path) -> None:
    table.image_tensor()[0, 0, 0, 0] ^= 255
    assert open_table(tmp_path / "table").images[0, 0, 0, 0] != table.images[0, 0, 0, 0]


def test_the_digest_depends_on_every_part(table: ImageTable) -> None:
    changed = table.images.copy()
    changed[-1, -1, -1, -1] ^= 1
    variants = [
        table,
        replace(table, images=changed),
        replace(table, labels=table.labels[::-1].copy()),
        replace(table, class_names=("a", "c", "b")),
        replace(table, splits={"base": (0, 1), "validation": (2,), "novel": ()}),
        replace(table, settings={"side": 5}),
    ]
    digests = [table_digest(one.images, one.labels, one.class_names, one.splits, one.settings) for one in variants]
    assert digests[0] == table.digest
    assert len(set(digests)) == len(variants)


def test_a_missing_folder_is_an_error_naming_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere is not a table that `s2m2 prepare` wrote"):
        open_table(tmp_path / "nowhere")


@pytest.mark.parametrize("file", [IMAGES_FILE, LABELS_FILE, TABLE_FILE])
@pytest.mark.parametrize("keep", [0, 20, -1])
def test_a_file_cut_short_is_an_error_of_one_line(table: ImageTable, tmp_path: Path, file: str, keep: int) -> None:
    path = tmp_path / "table" / file
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=rf"{file} is (damaged|cut short)|is not a table") as caught:
        open_table(tmp_path / "table")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_too_long_is_an_error(table: ImageTable, tmp_path: Path) -> None:
    path = tmp_path / "table" / IMAGES_FILE
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(InputError, match=r"images\.npy is too long: 289 bytes of pictures, not 288"):
        open_table(tmp_path / "table")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 99}, "has format 99"),
        ({"format": 0}, "has format 0, not 1; prepare the table again"),
        ({"images": 7}, "does not hold the 7 pictures"),
        ({"class_names": ["a", "b"]}, r"labels\.npy has a label that is none of the 2 classes"),
        ({"splits": {"base": [0, 1], "validation": [1], "novel": []}}, "a class in two splits"),
        ({"splits": {"base": [0], "validation": [9], "novel": []}}, "one that does not exist"),
        ({"splits": {"base": [0]}}, "is not a table"),
        ({"splits": 3}, "is not a table"),
        ({"settings": None}, "is not a table"),
    ],
)
def test_a_description_that_does_not_fit_is_an_error(table: ImageTable, tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = tmp_path / "table" / TABLE_FILE
    described = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(described | change))
    with pytest.raises(InputError, match=says):
        open_table(tmp_path / "table")


@pytest.mark.parametrize("content", ["[]", "null", "3", '{"format": 1}', "[" * 100_000])
def test_any_other_json_is_an_error(table: ImageTable, tmp_path: Path, content: str) -> None:
    (tmp_path / "table" / TABLE_FILE).write_text(content)
    with pytest.raises(InputError, match="is not a table"):
        open_table(tmp_path / "table")


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
def test_another_array_is_an_error_naming_its_file(table: ImageTable, tmp_path: Path, file: str, array: np.ndarray) -> None:
    np.save(tmp_path / "table" / file, array)
    with pytest.raises(InputError, match=file):
        open_table(tmp_path / "table")


def test_a_table_larger_than_memory_opens_at_once(tmp_path: Path) -> None:
    """A sparse file of a terabyte takes no space; it could not be mapped if memory were set aside for it."""
    count = 450_000
    side = 860
    tmp_path.joinpath("table").mkdir()
    with (tmp_path / "table" / IMAGES_FILE).open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (count, side, side, 3)})
        file.truncate(file.tell() + count * side * side * 3)
    np.save(tmp_path / "table" / LABELS_FILE, np.arange(count) % 608)
    described = {"format": 1, "name": "", "images": count, "class_names": [f"n{number}" for number in range(608)], "digest": ""}
    splits = {"base": list(range(351)), "validation": list(range(351, 448)), "novel": list(range(448, 608))}
    (tmp_path / "table" / TABLE_FILE).write_text(json.dumps(described | {"splits": splits, "settings": {}}))
    seconds = []
    for _ in range(5):
        began = time.process_time()
        table = open_table(tmp_path / "table")
        seconds.append(time.process_time() - began)
    assert table.images.nbytes > 0.99e12
    assert not table.image_tensor()[-1].any()
    assert min(seconds) < 0.05
