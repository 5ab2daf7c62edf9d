"""Omniglot in its original layout, upright and with rotations."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2m2.data.decode import decode_image
from s2m2.data.sources import list_source
from s2m2.data.splits import read_packaged_list, split_classes, unrotated_name
from s2m2.errors import InputError
from tests.data.files import classes_of, touch


@pytest.fixture(scope="module")
def omniglot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One image of every character; the alphabets of the first 30 names are in the background set."""
    names = [name for listed in classes_of("omniglot").values() for name in listed]
    background = sorted({name.split("/")[0] for name in names})[:30]
    part = {name: "images_background" if name.split("/")[0] in background else "images_evaluation" for name in names}
    return touch(tmp_path_factory.mktemp("omniglot"), (f"{part[name]}/{name}/0001_01.png" for name in names))


def write_few_characters(root: Path) -> Path:
    return touch(
        root,
        [f"images_background/{name}/1.png" for name in ("Alphabet_of_the_Magi/character01", "Greek/character01")]
        + ["images_evaluation/Tibetan/character01/1.png"],
    )


@pytest.mark.parametrize("inside", [".", "omniglot-py"])
def test_omniglot_is_recognized_with_vinyals_split(omniglot: Path, tmp_path: Path, inside: str) -> None:
    if inside != ".":
        (tmp_path / inside).symlink_to(omniglot)
    listing = list_source(omniglot if inside == "." else tmp_path)
    assert (listing.name, listing.dataset, len(listing.class_names)) == ("omniglot", "omniglot", 1623)
    assert listing.splits == read_packaged_list("omniglot")
    counts = [len(numbers) for numbers in split_classes(listing.class_names, None, 0, listing.splits).values()]
    assert counts == [1028, 172, 423]


def test_rotated_characters_are_classes_of_their_own_that_stay_in_one_split(omniglot: Path) -> None:
    listing = list_source(omniglot, rotated=True)
    assert (len(listing.class_names), len(listing.images)) == (6492, 6492)
    assert listing.class_names[:4] == tuple(f"Alphabet_of_the_Magi/character01/rot{degrees}" for degrees in ("000", "090", "180", "270"))
    assert [image.rot90 for image in listing.images[:4]] == [0, 1, 2, 3]
    assert len({image.name for image in listing.images[:4]}) == 1
    lists = split_classes(listing.class_names, None, 0, listing.splits)
    assert [len(numbers) for numbers in lists.values()] == [4 * 1028, 4 * 172, 4 * 423]
    assert split_classes(listing.class_names, "omniglot", 0) == lists
    for splits in (lists, split_classes(listing.class_names, "0.5,0.25,0.25", 3)):
        characters = [{unrotated_name(listing.class_names[number]) for number in numbers} for numbers in splits.values()]
        assert sum(map(len, characters)) == 1623
        assert len(set.union(*characters)) == 1623


def test_a_rotation_of_the_pixels_is_counter_clockwise(tmp_path: Path) -> None:
    root = write_few_characters(tmp_path)
    pixels = np.zeros((4, 4), np.uint8)
    pixels[0, 3] = 255
    Image.fromarray(pixels).save(next((root / "images_background" / "Alphabet_of_the_Magi" / "character01").iterdir()))
    rotated = [decode_image(image, 4)[..., 0] for image in list_source(root, rotated=True).images[:4]]
    assert [tuple(int(index[0]) for index in np.nonzero(image)) for image in rotated] == [(0, 3), (0, 0), (3, 0), (3, 3)]


def test_a_character_twice_or_empty_and_another_layout_are_errors(tmp_path: Path) -> None:
    root = write_few_characters(tmp_path)
    touch(root, ["images_evaluation/Greek/character01/1.png"])
    with pytest.raises(InputError, match=r"character Greek/character01 is both in images_background and in images_evaluation"):
        list_source(root)
    with pytest.raises(InputError, match=r"not laid out as Omniglot: it needs images_background and images_evaluation"):
        list_source(root / "images_background", "omniglot")
    (root / "images_evaluation" / "Greek" / "character01" / "1.png").unlink()
    (root / "images_evaluation" / "Greek" / "character99").mkdir()
    (root / "images_evaluation" / "Greek" / "character01").rmdir()
    with pytest.raises(InputError, match=r"class Greek/character99 has no image in .*character99"):
        list_source(root)
