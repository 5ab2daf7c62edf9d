from pathlib import Path

import pytest

from s2m2.data.sources import cifar_fs, class_folders
from s2m2.data.sources.listing import natural_key
from s2m2.errors import InputError
from tests.data.pictures import write_pictures


def test_classes_and_files_come_in_natural_order(tmp_path: Path) -> None:
    listing = class_folders.list_pictures(write_pictures(tmp_path, {"c10": 1, "c9": 12, "a": 1}))
    assert listing.class_names == ("a", "c9", "c10")
    assert [Path(picture.name).name for picture in listing.pictures[1:13]] == [f"{number}.png" for number in range(12)]
    assert listing.labels == (0, *[1] * 12, 2)
    assert listing.name == tmp_path.name


def test_names_that_differ_only_in_leading_zeros_keep_one_order() -> None:
    assert sorted(["a01", "a1", "a001"], key=natural_key) == sorted(["a1", "a001", "a01"], key=natural_key)


def test_hidden_files_are_passed_over_and_others_counted(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"a": 2, "b": 2, ".git": 1})
    for name in (".DS_Store", "._0.png", "notes.txt"):
        (tmp_path / "a" / name).write_text("")
    (tmp_path / "list.csv").write_text("")
    (tmp_path / "b" / "deeper.png").mkdir()
    listing = class_folders.list_pictures(tmp_path)
    assert listing.class_names == ("a", "b")
    assert (len(listing.pictures), listing.ignored) == (4, 1)


def test_an_upper_case_suffix_is_a_picture_too(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"a": 1})
    (tmp_path / "a" / "0.png").rename(tmp_path / "a" / "0.PNG")
    assert len(class_folders.list_pictures(tmp_path).pictures) == 1


def test_an_empty_class_is_an_error_naming_it(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"full": 1, "empty": 0})
    with pytest.raises(InputError, match="class empty has no picture"):
        class_folders.list_pictures(tmp_path)


def test_a_folder_without_classes_and_no_folder_are_errors(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_text("")
    with pytest.raises(InputError, match="has no class folders"):
        class_folders.list_pictures(tmp_path)
    for place in (tmp_path / "nowhere", tmp_path / "0.png"):
        with pytest.raises(InputError, match=f"no such folder .*{place.name}"):
            class_folders.list_pictures(place)


@pytest.mark.parametrize("inside", [".", "cifar100"])
def test_cifar_fs_is_found_with_its_splits(tmp_path: Path, inside: str) -> None:
    root = tmp_path / inside
    write_pictures(root / "data", {"a": 1, "b": 2, "c": 1})
    (root / "splits" / "bertinetto").mkdir(parents=True)
    for file, name in (("train", "b"), ("val", "c"), ("test", "a")):
        (root / "splits" / "bertinetto" / f"{file}.txt").write_text(f"{name}\n")
    listing = cifar_fs.list_pictures(tmp_path)
    assert listing.name == "cifar_fs"
    assert listing.class_names == ("a", "b", "c")
    assert listing.splits == {"base": ("b",), "validation": ("c",), "novel": ("a",)}


def test_another_layout_is_no_cifar_fs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not laid out as CIFAR-FS"):
        cifar_fs.list_pictures(write_pictures(tmp_path, {"a": 1}))
