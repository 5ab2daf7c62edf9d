"""mini-ImageNet: pickle caches, and lists with folders of images."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2m2.data.decode import Extent, StoredImage, decode_image
from s2m2.data.sources import list_source, mini_imagenet
from s2m2.data.splits import read_packaged_list
from s2m2.errors import InputError
from tests.data.files import by_class, classes_of, noise, pixels, touch, write_lists, write_pickle

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


def test_an_image_listed_twice_and_one_that_is_there_twice_are_errors(tmp_path: Path) -> None:
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


def parts(root: Path, train: int, val: int, more: int = 0) -> Path:
    """All classes under train and under val, as many a class, the first of them with some more."""
    names = [name for listed in MINI.values() for name in listed]
    for place, numbers in (("train", range(train)), ("val", range(train, train + val))):
        touch(root, (f"{place}/{name}/{name}_{number}.JPEG" for name in names for number in numbers))
    return touch(root, (f"val/{names[0]}/{names[0]}_{number}.JPEG" for number in range(9000, 9000 + more)))


def test_train_and_val_that_split_the_images_of_the_same_classes_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mini_imagenet, "IMAGES_PER_CLASS", 6)
    listing = list_source(parts(tmp_path, 5, 1), "mini_imagenet")
    assert len(listing.images) == 600
    assert by_class(listing)["n01532829"] == [f"n01532829_{number}.JPEG" for number in range(6)]
    assert listing.left_out == {}
    assert listing.splits == read_packaged_list("mini_imagenet")


def test_parts_that_are_more_than_the_whole_are_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mini_imagenet, "IMAGES_PER_CLASS", 6)
    with pytest.raises(InputError, match=r"has 5 images in .*train.* and 2 elsewhere, more than mini-ImageNet's 6 together; leave one"):
        list_source(parts(tmp_path / "more", 5, 1, more=1), "mini_imagenet")
    listing = list_source(parts(tmp_path / "whole", 6, 1), "mini_imagenet")
    assert (len(listing.images), len(listing.left_out["untaken"])) == (600, 100)


def test_all_of_ilsvrc_is_no_mini_imagenet_without_the_csv(tmp_path: Path) -> None:
    names = [name for listed in MINI.values() for name in listed]
    touch(tmp_path, [*(f"{name}/{name}_1.JPEG" for name in names), *(f"{names[0]}/{names[0]}_{index}.JPEG" for index in range(601))])
    with pytest.raises(InputError, match=r"class n01532829 has 601 images in .*, mini-ImageNet 600; .* put train\.csv"):
        list_source(tmp_path, "mini_imagenet")


def write_mini(root: Path, protocol: int = 4, validation: str = "val") -> dict[str, dict[str, Any]]:
    """Two images of each class, the classes in turn, so that images of a class are not neighbors."""
    written = {}
    for seed, (stem, names) in enumerate(classes_of("mini_imagenet").items()):
        count = len(names)
        rows = {name: [index, index + count] for index, name in enumerate(names)}
        written[stem] = {"image_data": noise(2 * count, seed=seed), "class_dict": rows}
        file = f"mini-imagenet-cache-{validation if stem == 'val' else stem}.pkl"
        write_pickle(root / file, written[stem], protocol)
    return written


@pytest.mark.parametrize(("protocol", "validation"), [(4, "val"), (2, "validation")])
def test_mini_imagenet_caches_are_recognized_with_every_pixel(tmp_path: Path, protocol: int, validation: str) -> None:
    written = write_mini(tmp_path, protocol, validation)
    listing = list_source(tmp_path)
    assert (listing.name, listing.dataset, len(listing.class_names), len(listing.images)) == ("mini_imagenet", "mini_imagenet", 100, 200)
    assert listing.splits == read_packaged_list("mini_imagenet")
    for stem, names in classes_of("mini_imagenet").items():
        for name in (names[0], names[-1]):
            rows = written[stem]["class_dict"][name]
            np.testing.assert_array_equal(pixels(listing, name, 84), written[stem]["image_data"][rows])


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_pixels_of_a_cache_stay_in_its_file(tmp_path: Path, protocol: int) -> None:
    written = write_mini(tmp_path, protocol)
    stored = [image for image in list_source(tmp_path).images if isinstance(image, StoredImage)]
    assert len(stored) == 200
    for image in stored[::17]:
        assert isinstance(image.content, Extent)
        stem = image.archive.stem.rpartition("-")[2]
        np.testing.assert_array_equal(image.content.read(image.archive), written[stem]["image_data"][image.index])
    os.truncate(stored[-1].archive, 1000)
    with pytest.raises(InputError, match=rf"{stored[-1].archive.name}#{stored[-1].index}: the file has become shorter"):
        decode_image(stored[-1], 84)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_dict": {"n01532829": [0, 1]}}, r"cache-val\.pkl: class_dict must name each of the 32 rows of image_data once, but has 2"),
        ({"class_dict": {"n01532829": "ab"}}, r"class_dict of n01532829 is no list of whole numbers"),
        ({"class_dict": {"n01532829": [0.5]}}, r"class_dict of n01532829 is no list of whole numbers"),
        ({"class_dict": [1]}, r"cache-val\.pkl has no dict class_dict"),
        ({"image_data": noise(3).astype(np.float32)}, r"image_data is float32 \(3, 84, 84, 3\), not uint8"),
        ({"image_data": [1]}, r"image_data is a list, not an array"),
    ],
)
def test_a_cache_of_another_shape_is_an_error_naming_it(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    written = write_mini(tmp_path)
    write_pickle(tmp_path / "mini-imagenet-cache-val.pkl", written["val"] | change)
    with pytest.raises(InputError, match=message):
        list_source(tmp_path)


def test_missing_doubled_and_mixed_up_caches_are_named(tmp_path: Path) -> None:
    written = write_mini(tmp_path)
    write_pickle(tmp_path / "mini-imagenet-cache-validation.pkl", written["val"])
    with pytest.raises(InputError, match=r"one file mini-imagenet-cache-val\.pkl or .* has .*val\.pkl and .*validation\.pkl"):
        list_source(tmp_path)
    (tmp_path / "mini-imagenet-cache-validation.pkl").unlink()
    write_pickle(tmp_path / "mini-imagenet-cache-val.pkl", written["train"])
    with pytest.raises(InputError, match=r"class n01532829 is in mini-imagenet-cache-val\.pkl and in another cache"):
        list_source(tmp_path)
    (tmp_path / "mini-imagenet-cache-val.pkl").unlink()
    with pytest.raises(InputError, match=r"must have one file mini-imagenet-cache-val\.pkl or .* has none"):
        list_source(tmp_path, "mini_imagenet")


def test_a_list_instead_of_a_dict_and_a_missing_entry_are_named(tmp_path: Path) -> None:
    for content, message in (([], "holds a list, not a dict"), ({"images": 1}, "has no entry image_data, but images")):
        write_pickle(tmp_path / "mini-imagenet-cache-train.pkl", content)
        with pytest.raises(InputError, match=rf"cache-train\.pkl {message}"):
            list_source(tmp_path)
