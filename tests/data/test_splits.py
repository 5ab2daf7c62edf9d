"""Class lists and random splits."""

import json
from pathlib import Path

import pytest

from s2m2.data.dataset import SPLITS
from s2m2.data.splits import ROTATIONS, ClassLists, packaged_lists, read_packaged_list, rotated_name, split_classes, unrotated_name
from s2m2.errors import InputError

NAMES = tuple("abcdefghij")
LISTS = {"base": list("abcdef"), "val": list("gh"), "novel": list("ij")}
NUMBERS = {"base": (0, 1, 2, 3, 4, 5), "validation": (6, 7), "novel": (8, 9)}


def written(path: Path, content: object) -> str:
    path.write_text(json.dumps(content))
    return str(path)


def test_fractions_use_every_class_once_and_repeat_with_the_seed() -> None:
    splits = split_classes(NAMES, "0.6,0.2,0.2", seed=1)
    assert [len(splits[split]) for split in SPLITS] == [6, 2, 2]
    assert sorted(number for split in SPLITS for number in splits[split]) == list(range(10))
    assert split_classes(NAMES, "0.6 0.2 0.2", seed=1) == splits
    assert any(split_classes(NAMES, "0.6,0.2,0.2", seed=seed) != splits for seed in range(2, 5))


def test_fractions_are_rounded_so_that_they_add_up() -> None:
    counts = {
        count: [len(numbers) for numbers in split_classes(range_of_names(count), None, seed=0).values()] for count in (5, 7, 100, 1623)
    }
    assert counts == {5: [3, 1, 1], 7: [5, 1, 1], 100: [64, 16, 20], 1623: [1039, 260, 324]}


def range_of_names(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def test_all_classes_may_be_novel() -> None:
    assert split_classes(NAMES, "0,0,1", seed=0) == {"base": (), "validation": (), "novel": tuple(range(10))}


@pytest.mark.parametrize("fractions", ["0.5,0.5,0.5", "1,0", "-0.5,0.5,1", "0.2", "nan,0,1"])
def test_fractions_that_are_none_are_an_error(fractions: str) -> None:
    with pytest.raises(InputError, match=r"--splits is .* add up to 1"):
        split_classes(NAMES, fractions, seed=0)


def test_a_fraction_without_a_class_is_an_error_naming_the_split() -> None:
    with pytest.raises(InputError, match=r"a fraction of 0\.16 of 2 classes leaves no validation class"):
        split_classes(NAMES[:2], None, seed=0)


def test_the_lists_of_the_source_come_before_fractions() -> None:
    lists: ClassLists = {"base": tuple("abcdef"), "validation": tuple("gh"), "novel": tuple("ij")}
    assert split_classes(NAMES, None, seed=0, source_lists=lists) == NUMBERS
    assert split_classes(NAMES, "0,0,1", seed=0, source_lists=lists)["base"] == ()


@pytest.mark.parametrize("keys", [("base", "val", "novel"), ("base", "validation", "novel"), ("train", "val", "test")])
def test_a_json_file_names_the_classes(tmp_path: Path, keys: tuple[str, str, str]) -> None:
    content = dict(zip(keys, LISTS.values(), strict=True)) | {"source": "a note"}
    assert split_classes(NAMES, written(tmp_path / "mine.json", content), seed=0) == NUMBERS


def test_a_folder_of_text_files_names_the_classes(tmp_path: Path) -> None:
    for file, names in zip(("train.txt", "val.txt", "test.txt"), LISTS.values(), strict=True):
        (tmp_path / file).write_text("\n".join(names) + "\n\n")
    assert split_classes(NAMES, str(tmp_path), seed=0) == NUMBERS
    (tmp_path / "val.txt").unlink()
    with pytest.raises(InputError, match=r"cannot read class list .*val\.txt: No such file"):
        split_classes(NAMES, str(tmp_path), seed=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val": ["g", "h", "a"]}, "has both in base and in validation: a$"),
        ({"novel": ["i", "j", "g", "h"]}, "has both in validation and in novel: g, h$"),
        ({"val": ["g"]}, "leaves out: h$"),
        ({"base": list("abcdefxyz")}, "names, but without images,: x, y, z$"),
        ({"base": list("abcdefb")}, "names twice as base: b$"),
        ({"val": []}, "leaves out: g, h$"),
    ],
)
def test_overlapping_missing_and_unknown_classes_are_named(tmp_path: Path, change: dict[str, list[str]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        split_classes(NAMES, written(tmp_path / "mine.json", LISTS | change), seed=0)


def test_many_wrong_classes_are_counted() -> None:
    with pytest.raises(InputError, match=r"class list cifar_fs names, but without images,: apple, .* and 95 more$"):
        split_classes(NAMES, "cifar_fs", seed=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"base": [], "novel": []}, "has no list validation or val"),
        ([], "has no list base"),
        (LISTS | {"novel": {"nested": []}}, "novel is nested"),
        (LISTS | {"novel": [1]}, "novel is nested or no list"),
    ],
)
def test_a_json_file_of_another_shape_is_an_error(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split_classes(NAMES, written(tmp_path / "mine.json", content), seed=0)


def test_a_file_that_is_no_json_is_an_error_naming_it(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_bytes(b"\xff\x00{")
    with pytest.raises(InputError, match=r"mine\.json is no JSON file of class lists"):
        split_classes(NAMES, str(tmp_path / "mine.json"), seed=0)


def test_a_text_that_is_nothing_known_is_an_error_that_tells_what_is() -> None:
    with pytest.raises(InputError, match=r"--splits is cifarfs, but must be .* one of cifar_fs, cub"):
        split_classes(NAMES, "cifarfs", seed=0)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("cifar_fs", (64, 16, 20)),
        ("cub", (100, 50, 50)),
        ("cub_feat", (100, 50, 50)),
        ("fc100", (60, 20, 20)),
        ("mini_imagenet", (64, 16, 20)),
        ("tiered_imagenet", (351, 97, 160)),
    ],
)
def test_packaged_lists_are_disjoint_and_have_the_published_sizes(name: str, counts: tuple[int, int, int]) -> None:
    lists = read_packaged_list(name)
    assert tuple(len(lists[split]) for split in SPLITS) == counts
    names = [name for split in SPLITS for name in lists[split]]
    splits = split_classes(sorted(names), name, seed=0)
    assert tuple(len(splits[split]) for split in SPLITS) == counts


def test_the_list_of_omniglot_names_alphabet_and_character() -> None:
    assert "omniglot" in packaged_lists()
    lists = read_packaged_list("omniglot")
    assert [len(lists[split]) for split in SPLITS] == [1028, 172, 423]
    assert len({name for split in SPLITS for name in lists[split]}) == 1623
    assert lists["base"][0] == "Alphabet_of_the_Magi/character01"


ROTATED = [rotated_name(name, degrees) for name in NAMES for degrees in ROTATIONS]


def test_a_listed_class_stands_for_its_four_rotations_too(tmp_path: Path) -> None:
    expected = {split: tuple(4 * number + turn for number in numbers for turn in range(4)) for split, numbers in NUMBERS.items()}
    assert split_classes(ROTATED, written(tmp_path / "mine.json", LISTS), seed=0) == expected
    with pytest.raises(InputError, match=r"leaves out: j/rot000, j/rot090, j/rot180, j/rot270$"):
        split_classes(ROTATED, written(tmp_path / "mine.json", LISTS | {"novel": ["i"]}), seed=0)
    with pytest.raises(InputError, match="names twice as novel: i/rot000, "):
        split_classes(ROTATED, written(tmp_path / "mine.json", LISTS | {"novel": ["i", "j", "i"]}), seed=0)


def test_fractions_keep_the_four_rotations_of_a_class_together() -> None:
    upright = split_classes(NAMES, "0.5,0.3,0.2", seed=5)
    splits = split_classes(ROTATED, "0.5,0.3,0.2", seed=5)
    assert splits == {split: tuple(4 * number + turn for number in numbers for turn in range(4)) for split, numbers in upright.items()}


def test_only_the_four_rotations_of_a_name_are_taken_for_rotations() -> None:
    assert [unrotated_name(name) for name in ("a/b/rot090", "a/rot000", "a/rot45", "a/rot090/c", "rot090", "/rot090", "a")] == [
        "a/b",
        "a",
        "a/rot45",
        "a/rot090/c",
        "rot090",
        "/rot090",
        "a",
    ]
