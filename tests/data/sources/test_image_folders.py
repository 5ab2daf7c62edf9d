"""The layouts of mini-ImageNet and tieredImageNet that are folders of image files."""

from pathlib import Path

import pytest

from s2m2.data.sources import list_source
from s2m2.data.splitting import read_packaged_list
from s2m2.errors import InputError
from tests.data.sources.trees import by_class, classes_of, touch, write_lists

MINI = classes_of("mini_imagenet")
RANKS = (2, 10, 1)


def csv_rows(ranks: tuple[int, ...] = RANKS) -> dict[str, list[tuple[str, str]]]:
    return {stem: [(f"{name}{rank:08d}.jpg", name) for name in names for rank in ranks] for stem, names in MINI.items()}


def names_of(rows: dict[str, list[tuple[str, str]]]) -> list[str]:
    return [file for pairs in rows.values() for file, _ in pairs]


@pytest.mark.parametrize("inside", ["images/", ""])
def test_ravi_and_larochelles_csv_with_a_folder_of_images(tmp_path: Path, inside: str) -> None:
    rows = csv_rows()
    write_lists(touch(tmp_path, (inside + name for name in names_of(rows))), rows)
    listing = list_source(tmp_path)
    assert (listing.name, listing.dataset, len(listing.class_names), len(listing.images)) == ("mini_imagenet", "mini_imagenet", 100, 300)
    assert listing.splits == read_packaged_list("mini_imagenet")
    assert by_class(listing)["n01532829"] == [f"n01532829{rank:08d}.jpg" for rank in sorted(RANKS)]


def test_the_csv_with_class_folders_of_the_same_names(tmp_path: Path) -> None:
    rows = csv_rows()
    touch(tmp_path, (f"{stem}/{name}/{file}" for stem, pairs in rows.items() for file, name in pairs))
    assert len(list_source(write_lists(tmp_path, rows)).images) == 300


@pytest.mark.parametrize("inside", ["", "ILSVRC/Data/CLS-LOC/train/"])
def test_full_size_images_are_chosen_by_their_rank_among_the_numbers_of_ilsvrc(tmp_path: Path, inside: str) -> None:
    numbers = (5, 12, 100, 7, 9, 33, 4000, 8, 21, 650, 3)
    names = [name for listed in MINI.values() for name in listed]
    touch(tmp_path, (f"{inside}{name}/{name}_{number}.JPEG" for name in (*names, "n99999999") for number in numbers))
    listing = list_source(write_lists(tmp_path, csv_rows()))
    assert len(listing.class_names) == 100
    # In rising order 3, 5, 7, 8, 9, 12, 21, 33, 100, 650, 4000; as text, 100 and 12 would come first.
    assert by_class(listing)["n01532829"] == ["n01532829_3.JPEG", "n01532829_5.JPEG", "n01532829_650.JPEG"]


def test_a_rank_beyond_the_folder_is_an_error_naming_it(tmp_path: Path) -> None:
    names = [name for listed in MINI.values() for name in listed]
    touch(tmp_path, (f"{name}/{name}_{number}.JPEG" for name in names for number in range(9)))
    with pytest.raises(InputError, match=r"train\.csv asks for image 10 of class n01532829, but .*n01532829 has 9 images"):
        list_source(write_lists(tmp_path, csv_rows()))


def test_a_name_that_is_no_rank_is_an_error_naming_it(tmp_path: Path) -> None:
    touch(tmp_path, (f"{name}/{name}_{number}.JPEG" for listed in MINI.values() for name in listed for number in range(12)))
    rows = csv_rows() | {"val": [("bird.jpg", name) for name in MINI["val"]]}
    with pytest.raises(InputError, match=r"val\.csv names bird\.jpg, which is not in .* and is not the class and a number of 8 digits"):
        list_source(write_lists(tmp_path, rows))


def test_missing_images_of_the_csv_are_counted_and_the_first_named(tmp_path: Path) -> None:
    rows = csv_rows()
    write_lists(touch(tmp_path, (f"images/{name}" for name in names_of(rows)[:-4])), rows)
    last = MINI["test"][-1]
    with pytest.raises(InputError, match=rf"name 4 images that are not there: .*, {last}00000001\.jpg, {last}00000002\.jpg, "):
        list_source(tmp_path)


def test_a_image_listed_twice_and_one_that_is_there_twice_are_errors(tmp_path: Path) -> None:
    rows = csv_rows()
    write_lists(touch(tmp_path, (f"images/{name}" for name in names_of(rows))), rows | {"test": rows["test"] + rows["test"][:2]})
    with pytest.raises(InputError, match=r"test\.csv names 2 images more than once: n01930112"):
        list_source(tmp_path)
    write_lists(touch(tmp_path, ["n0153282900000001.jpg"]), rows)
    with pytest.raises(InputError, match=r"n0153282900000001\.jpg is ambiguous: there are .* and "):
        list_source(tmp_path)


def test_a_missing_csv_is_named(tmp_path: Path) -> None:
    rows = csv_rows()
    write_lists(touch(tmp_path, (f"images/{name}" for name in names_of(rows))), rows)
    (tmp_path / "val.csv").unlink()
    with pytest.raises(InputError, match=r"lists no validation images: mini-ImageNet needs train\.csv, val\.csv and test\.csv"):
        list_source(tmp_path, "mini_imagenet")


@pytest.mark.parametrize(("name", "count"), [("mini_imagenet", 100), ("tiered_imagenet", 608)])
@pytest.mark.parametrize("apart", [True, False])
def test_class_folders_all_in_one_or_under_their_splits(tmp_path: Path, name: str, count: int, apart: bool) -> None:
    classes = classes_of(name)
    touch(tmp_path, (f"{stem}/{one}/0.jpg" if apart else f"{one}/0.jpg" for stem, names in classes.items() for one in names))
    # Under splits they are recognized as own images unless named, which makes the same dataset apart from its name.
    listing = list_source(tmp_path, name if apart else "auto")
    assert (listing.name, listing.dataset, len(listing.class_names)) == (name, name, count)
    own = list_source(tmp_path, "own")
    assert own.class_names == listing.class_names
    if apart:
        assert listing.splits is not None
        assert own.splits is not None
        assert {split: set(names) for split, names in own.splits.items()} == {split: set(names) for split, names in listing.splits.items()}


def test_tiered_imagenet_takes_its_classes_out_of_all_of_ilsvrc(tmp_path: Path) -> None:
    names = [name for listed in classes_of("tiered_imagenet").values() for name in listed]
    touch(tmp_path, [*(f"train/{name}/{name}_1.JPEG" for name in (*names, "n99999999")), "val/n01532829/ILSVRC2012_val_00000001.JPEG"])
    listing = list_source(tmp_path, "tiered_imagenet")
    assert (len(listing.class_names), len(listing.images)) == (608, 608)
    (tmp_path / "train" / names[5] / f"{names[5]}_1.JPEG").unlink()
    with pytest.raises(InputError, match=f"class {names[5]} has no image in .*{names[5]}"):
        list_source(tmp_path, "tiered_imagenet")


def test_all_of_ilsvrc_is_no_mini_imagenet_without_the_csv(tmp_path: Path) -> None:
    names = [name for listed in MINI.values() for name in listed]
    touch(tmp_path, [*(f"{name}/{name}_1.JPEG" for name in names), *(f"{names[0]}/{names[0]}_{place}.JPEG" for place in range(601))])
    with pytest.raises(InputError, match=r"class n01532829 has 601 images in .*, mini-ImageNet 600; .* put train\.csv"):
        list_source(tmp_path, "mini_imagenet")


@pytest.mark.parametrize("name", ["mini_imagenet", "tiered_imagenet"])
def test_a_folder_of_something_else_is_an_error_that_tells_what_is_needed(tmp_path: Path, name: str) -> None:
    touch(tmp_path, ["a/0.jpg"])
    with pytest.raises(InputError, match=f"is not laid out as {name}: it needs .*class folders, all together or under train, val and test"):
        list_source(tmp_path, name)
