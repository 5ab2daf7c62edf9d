"""Folders that are there whole or not at all."""

import math
import os
from pathlib import Path

import pytest

from s2m2.escaping import csv_cell
from s2m2.io import create_folder, json_text, read_json, write_json


def test_a_folder_appears_at_the_end_with_all_that_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "folder"
    with create_folder(folder) as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "file").write_text("content")
        assert not folder.exists()
    assert (folder / "inner" / "file").read_text() == "content"
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_neither_folder_nor_those_above_it(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with create_folder(tmp_path / "a" / "b" / "folder") as partial:
            (partial / "file").touch()
            raise error

    with pytest.raises(error):
        fail()
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    for name in (".run.0a1b2c3d.partial", ".other.0a1b2c3d.partial", ".run.partial"):  # the last: a dataset that is continued
        (tmp_path / name / "inside").mkdir(parents=True)
        os.utime(tmp_path / name, (0, 0))
    with create_folder(tmp_path / "run"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"run", ".other.0a1b2c3d.partial", ".run.partial"}


def test_what_others_put_there_meanwhile_stays(tmp_path: Path) -> None:
    def fail() -> None:
        with create_folder(tmp_path / "a" / "folder"):
            (tmp_path / "a" / "theirs").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["theirs"]


def test_a_folder_that_has_come_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    def write() -> None:
        with create_folder(tmp_path / "folder"):
            (tmp_path / "folder").mkdir()
            (tmp_path / "folder" / "theirs").touch()

    with pytest.raises(OSError, match="not empty"):
        write()
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "theirs"]


@pytest.mark.parametrize(
    ("text", "cell"),
    [("=1+1", "'=1+1"), ("+a", "'+a"), ("-a", "'-a"), ("@a", "'@a"), ("\ta", "'\ta"), ("a=1", "a=1"), ("", ""), ("owl", "owl")],
)
def test_a_csv_cell_begins_no_formula(text: str, cell: str) -> None:
    assert csv_cell(text) == cell


def test_what_is_not_finite_is_null_in_json_at_any_depth() -> None:
    value = {"a": math.inf, "b": [1.5, -math.inf, {"c": math.nan}], "d": (2, "inf", None, True)}
    assert json_text(value) == '{"a": null, "b": [1.5, null, {"c": null}], "d": [2, "inf", null, true]}'
    assert json_text({"a": math.inf}, indent=1) == '{\n "a": null\n}'


def test_numbers_as_keys_come_back_under_their_checksum(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"epochs": {5: 0.5, 10: 0.25}})
    assert read_json(tmp_path / "a.json") == {"epochs": {"5": 0.5, "10": 0.25}}
