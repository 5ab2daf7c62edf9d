import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from s2m2.data.table import IMAGES_FILE, LABELS_FILE, TABLE_FILE, ImageTable, open_table, table_digest
from s2m2.data.writing import write_table
from s2m2.errors import InputError


@pytest.fixture
def table(tmp_path: Path) -> ImageTable:
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    return write_table(
        tmp_path / "table",
        [images],
        shape=(6, 4, 4),
        name="six",
        labels=np.array([0, 0, 1, 1, 2, 2]),
        class_names=("a", "b", "ç"),
        splits={"base": (0, 2), "validation": (1,)},
        settings={"side": 4},
    )


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
@pytest.mark.parametrize("keep", [0, 20])
def test_a_file_cut_short_is_an_error_of_one_line(table: ImageTable, tmp_path: Path, file: str, keep: int) -> None:
    path = tmp_path / "table" / file
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="is not a table") as caught:
        open_table(tmp_path / "table")
    assert "\n" not in str(caught.value)


def test_another_format_and_a_wrong_count_are_errors(table: ImageTable, tmp_path: Path) -> None:
    path = tmp_path / "table" / TABLE_FILE
    described = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(described | {"format": 99}))
    with pytest.raises(InputError, match="has format 99"):
        open_table(tmp_path / "table")
    path.write_text(json.dumps(described | {"images": 7}))
    with pytest.raises(InputError, match="does not hold the 7 pictures"):
        open_table(tmp_path / "table")
