"""Lists of own images: csv, and S2M2's JSON."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from s2m2.data.sources import list_source
from s2m2.data.sources.listing import natural_key
from s2m2.data.splits import split_classes
from s2m2.errors import InputError
from tests.data.files import by_class, touch, write_lists

IMAGES = ("b/2.png", "b/10.png", "a/1.png", "images/c.png")


def write_csv(root: Path, text: str, name: str = "mine.csv") -> Path:
    touch(root, IMAGES)
    (root / name).write_text(text, encoding="utf-8")
    return root / name


def write_json(root: Path, names: Any = ("a", "b"), files: Any = IMAGES, labels: Any = (0, 1, 1, 0)) -> Path:
    touch(root, IMAGES)
    (root / "mine.json").write_text(json.dumps({"label_names": names, "image_names": files, "image_labels": labels}))
    return root / "mine.json"


@pytest.mark.parametrize("dataset", ["auto", "own"])
def test_a_csv_names_images_beside_it_in_images_or_anywhere(tmp_path: Path, dataset: str) -> None:
    elsewhere = touch(tmp_path / "elsewhere", ["d.png"]) / "d.png"
    rows = f"filename,label\nb/10.png,bird\nb/2.png,bird\n\nc.png,ant\n{elsewhere},ant\n"
    listing = list_source(write_csv(tmp_path / "lists", rows), dataset)
    assert (listing.name, listing.dataset, listing.splits) == ("mine", None, None)
    assert listing.class_names == ("ant", "bird")
    assert by_class(listing) == {"ant": ["d.png", "c.png"], "bird": ["2.png", "10.png"]}


def test_columns_may_come_in_any_order_with_others_between_and_quotes(tmp_path: Path) -> None:
    text = '\ufeff"label",size, filename\n"old, gray bird",9, b/2.png \n'
    assert by_class(list_source(write_csv(tmp_path, text))) == {"old, gray bird": ["2.png"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("b/2.png,bird\n", r"mine\.csv begins with b/2\.png,bird, not with the names of columns filename,label"),
        ("", r"mine\.csv begins with an empty line, not"),
        ("filename;label\nb/2.png;bird\n", r"begins with filename;label, not"),
        ("filename,label\n", r"mine\.csv lists no image"),
        ("filename,label\nb/2.png,bird\n,bird\n", r"mine\.csv, line 3: ,bird has no filename"),
        ("filename,label\nb/2.png\n", r"mine\.csv, line 2: b/2\.png has no label"),
        ("filename,label\nb/2.png,bird\nb/2.png,ant\n", r"mine\.csv names 1 images more than once: b/2\.png"),
        ("filename,label\nb/2.png,bird\n./b/2.png,ant\n", r"b/2\.png is listed in .*mine\.csv and again in"),
        (
            "filename,label\nx.png,a\nb/2.png,a\ny.png,a\nz.png,a\nw.png,a\nv.png,a\nu.png,a\n",
            r"6 images that are not there: x\.png, y\.png, z\.png, w\.png, v\.png and 1 more$",
        ),
        ('filename,label\n"b/2.png,bird\n', r"cannot read list .*mine\.csv: unexpected end of data"),
    ],
)
def test_a_csv_that_cannot_be_used_is_an_error_naming_it(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        list_source(write_csv(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_csv_that_is_no_text_and_a_file_of_another_kind_are_named(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes(b"filename,label\n\xff\xfe,a\n")
    with pytest.raises(InputError, match=r"cannot read list .*mine\.csv: .*codec can't decode"):
        list_source(tmp_path / "mine.csv")
    (tmp_path / "mine.xlsx").write_bytes(b"")
    with pytest.raises(InputError, match=r"mine\.xlsx is neither a folder nor a \.csv or \.json list"):
        list_source(tmp_path / "mine.xlsx")


def test_a_name_that_two_images_have_is_ambiguous(tmp_path: Path) -> None:
    touch(tmp_path, ["images/b/2.png"])
    with pytest.raises(InputError, match=r"b/2\.png is ambiguous: there are .*/b/2\.png and .*/images/b/2\.png"):
        list_source(write_csv(tmp_path, "filename,label\nb/2.png,bird\n"))


@pytest.mark.parametrize(("on_disk", "listed"), [("NFC", "NFC"), ("NFD", "NFC"), ("NFC", "NFD")])
def test_accents_may_be_written_in_either_way(tmp_path: Path, on_disk: str, listed: str) -> None:
    name = "Vögel/Spatz é 鳥.png"
    touch(tmp_path, [unicodedata.normalize(on_disk, name)])
    listing = list_source(write_csv(tmp_path, f"filename,label\n{unicodedata.normalize(listed, name)},雀\n"))
    assert listing.class_names == ("雀",)
    assert Path(listing.images[0].name).exists()


def test_csv_files_of_splits_bring_their_own(tmp_path: Path) -> None:
    touch(tmp_path, ["1.png", "2.png", "3.png", "4.png"])
    write_lists(tmp_path, {"train": [("1.png", "b"), ("2.png", "a")], "val": [("3.png", "c")], "test": [("4.png", "d")]})
    listing = list_source(tmp_path)
    assert (listing.name, listing.class_names) == (tmp_path.name, ("a", "b", "c", "d"))
    assert split_classes(listing.class_names, None, 0, listing.splits) == {"base": (0, 1), "validation": (2,), "novel": (3,)}
    write_lists(tmp_path, {"test": [("4.png", "d"), ("3.png", "d")]})
    with pytest.raises(InputError, match=r"3\.png is listed in .*val\.csv and again in .*test\.csv"):
        list_source(tmp_path)
    write_lists(tmp_path, {"test": [("4.png", "c")]})
    with pytest.raises(InputError, match=r"val\.csv and .*test\.csv share classes: c; few-shot splits share no class"):
        list_source(tmp_path)
    write_lists(tmp_path, {"novel": [("4.png", "c")]})
    with pytest.raises(InputError, match=r"test\.csv and .*novel\.csv are both lists of novel images"):
        list_source(tmp_path)


def test_s2m2s_json_names_classes_by_their_place_which_need_not_follow_each_other(tmp_path: Path) -> None:
    listing = list_source(write_json(tmp_path, ["z", "unused", "a", "unused too"], IMAGES, [2, 2, 0, 2]))
    assert by_class(listing) == {"a": ["2.png", "10.png", "c.png"], "z": ["1.png"]}


def test_labels_beyond_the_names_are_ranks_where_there_are_as_many(tmp_path: Path) -> None:
    listing = list_source(write_json(tmp_path, ["z", "a"], IMAGES, [84, 80, 80, 84]))
    assert by_class(listing) == {"a": ["2.png", "c.png"], "z": ["1.png", "10.png"]}


def test_base_val_and_novel_json_bring_their_splits(tmp_path: Path) -> None:
    touch(tmp_path, IMAGES)
    names = ["a", "b", "c", "d"]
    for stem, files, labels in (("base", IMAGES[:2], [0, 2]), ("val", IMAGES[2:3], [1]), ("novel", [str(tmp_path / IMAGES[3])], [3])):
        (tmp_path / f"{stem}.json").write_text(json.dumps({"label_names": names, "image_names": files, "image_labels": labels}))
    listing = list_source(tmp_path)
    assert listing.splits == {"base": ("a", "c"), "validation": ("b",), "novel": ("d",)}
    assert listing.class_names == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": (0, 1, 1)}, r"mine\.json has 4 image_names but 3 image_labels"),
        ({"labels": (0, 1, 1, 2)}, r"mine\.json has image_labels outside 0 to 1, its 2 label_names: 2"),
        ({"labels": (0, 1, 1, -1)}, r"mine\.json has image_labels outside 0 to 1, its 2 label_names: -1"),
        ({"labels": (0, 1, 1, 0.5)}, r"mine\.json: image_labels is no list of whole numbers"),
        ({"labels": ("a", "b", "b", "a")}, r"mine\.json: image_labels is no list of whole numbers"),
        ({"labels": (0, [1], 1, 0)}, r"mine\.json: image_labels is no list of whole numbers"),
        ({"labels": (True, True, True, True)}, r"mine\.json: image_labels is no list of whole numbers"),
        ({"labels": (10**30, 0, 0, 0)}, r"mine\.json: image_labels is no list of whole numbers"),
        ({"labels": {"a": 1}}, r"mine\.json is no list of images as S2M2 writes them: an object with the lists label_names"),
        ({"names": ("a", 3)}, r"mine\.json: label_names must hold texts only"),
        ({"files": ("", *IMAGES[1:])}, r"mine\.json: image_names must hold texts only, and none of them empty"),
        ({"names": ("a", "a")}, r"mine\.json: label_names has the same name for different labels: a"),
        ({"files": ("no.png", *IMAGES[1:])}, r"mine\.json names 1 images that are not there: no\.png"),
        ({"files": (), "labels": ()}, r"mine\.json lists no image"),
    ],
)
def test_a_json_list_of_another_shape_is_an_error_naming_it(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        list_source(write_json(tmp_path, **change))


@pytest.mark.parametrize("content", ["[]", "{", "[" * 100_000, "\x00"])
def test_a_file_that_is_no_json_list_is_an_error_naming_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "mine.json").write_text(content)
    with pytest.raises(InputError, match=r"mine\.json"):
        list_source(tmp_path / "mine.json")


def test_labels_of_thousands_of_digits_are_sorted_by_value() -> None:
    large = ["1" * 5000, "1" * 4999 + "2", "2" * 5000]
    names = ["x", "2", "010", "9", large[2], large[0], large[1], "a10", "a9", "a09"]
    assert sorted(names, key=natural_key) == ["2", "9", "010", *large, "a09", "a9", "a10", "x"]
