"""CUB-200-2011 and Omniglot in their original layouts, made up and real."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2m2.data.decoding import decode_image
from s2m2.data.sources import list_source
from s2m2.data.splitting import read_packaged_list, split_classes, unturned
from s2m2.errors import InputError
from tests.data.images import noise_image
from tests.data.sources.trees import classes_of, touch

BIRDS = sorted(name for listed in classes_of("cub").values() for name in listed)


def write_cub(root: Path) -> Path:
    """One image of each class and a second of the first, in another order in `images.txt` than in the folders."""
    files = [f"{name}/{name[4:]}_0001.jpg" for name in BIRDS] + [f"{BIRDS[0]}/{BIRDS[0][4:]}_0000.jpg"]
    touch(root / "images", files)
    lines = {
        "images.txt": [f"{number} {file}" for number, file in enumerate(files, 1)],
        "classes.txt": [f"{number} {name}" for number, name in enumerate(BIRDS, 1)],
        "bounding_boxes.txt": [f"{number} 2.0 3.5 4.0 5.0" for number in range(1, len(files) + 1)],
    }
    for file, content in lines.items():
        (root / file).write_text("\n".join(content) + "\n")
    return root


@pytest.mark.parametrize("inside", [".", "CUB_200_2011", "cubirds200/CUB_200_2011"])
def test_cub_is_recognised_with_s2m2s_split(tmp_path: Path, inside: str) -> None:
    write_cub(tmp_path / inside)
    listing = list_source(tmp_path)
    assert (listing.name, listing.class_names, len(listing.images)) == ("cub", tuple(BIRDS), 201)
    assert [Path(image.name).name for image in listing.images[:2]] == [f"{BIRDS[0][4:]}_000{number}.jpg" for number in (0, 1)]
    splits = split_classes(listing.class_names, None, 0, listing.splits)
    assert splits == split_classes(listing.class_names, "cub", 0)
    assert splits["base"] == tuple(range(0, 200, 2))
    assert splits["novel"] == tuple(range(3, 200, 4))


def test_a_bounding_box_is_what_is_left_of_a_image(tmp_path: Path) -> None:
    write_cub(tmp_path)
    noise_image(20, 30).save(tmp_path / "images" / BIRDS[0] / f"{BIRDS[0][4:]}_0000.jpg", "png")
    image = list_source(tmp_path, box=True).images[0]
    assert image.box == (2, 3, 6, 9)
    expected = Image.fromarray(np.asarray(noise_image(20, 30))[3:9, 2:6]).resize((6, 6), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(decode_image(image, 6), np.asarray(expected))
    assert list_source(tmp_path).images[0].box is None


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("images.txt", "_0001.jpg\n2 ", "_0009.jpg\n2 ", r"images\.txt names 1 images that are not there: 001\.Black.*_0009\.jpg"),
        ("images.txt", "3 003", "2 003", r"images\.txt, line 3: 2 003\.Sooty.* is no new number"),
        ("images.txt", "3 003", "003", r"images\.txt, line 3: .* is no new number with something behind it"),
        ("classes.txt", "3 003.Sooty", "3 003.Sunny", r"images\.txt names 003\.Sooty.*, but .*classes\.txt has no class 003\.Sooty"),
        ("bounding_boxes.txt", "3 2.0 3.5", "3 2.0", r"bounding_boxes\.txt: image 3 has no box of four numbers but 2\.0 4\.0"),
        ("bounding_boxes.txt", "3 2.0 3.5", "3 2.0 nan", r"image 3 has no box of four numbers"),
        ("bounding_boxes.txt", "3 2.0 3.5", "3 -2.0 3.5", r"the box of image 3 is empty or begins outside"),
        ("bounding_boxes.txt", "3 2.0 3.5 4.0", "3 2.0 3.5 0.0", r"the box of image 3 is empty or begins outside"),
        ("bounding_boxes.txt", "3 2.0 3.5 4.0 5.0\n", "", r"bounding_boxes\.txt has no box for 003\.Sooty"),
    ],
)
def test_lines_of_cub_that_cannot_be_used_are_named(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    text = (write_cub(tmp_path) / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        list_source(tmp_path, "cub", box=True)


def test_cub_without_its_files_is_an_error_naming_them(tmp_path: Path) -> None:
    (write_cub(tmp_path) / "bounding_boxes.txt").unlink()
    with pytest.raises(InputError, match=r"cannot read .*bounding_boxes\.txt: No such file"):
        list_source(tmp_path, box=True)
    (tmp_path / "images.txt").unlink()
    with pytest.raises(InputError, match=r"is not laid out as CUB-200-2011: it needs images\.txt"):
        list_source(tmp_path, "cub")


def write_omniglot(root: Path) -> Path:
    """One image of every character; the alphabets of the first 30 names are in the background set."""
    names = [name for listed in classes_of("omniglot").values() for name in listed]
    background = sorted({name.split("/")[0] for name in names})[:30]
    part = {name: "images_background" if name.split("/")[0] in background else "images_evaluation" for name in names}
    return touch(root, (f"{part[name]}/{name}/0001_01.png" for name in names))


def write_few_characters(root: Path) -> Path:
    return touch(
        root,
        [f"images_background/{name}/1.png" for name in ("Alphabet_of_the_Magi/character01", "Greek/character01")]
        + ["images_evaluation/Tibetan/character01/1.png"],
    )


@pytest.mark.parametrize("inside", [".", "omniglot-py"])
def test_omniglot_is_recognised_with_vinyals_split(tmp_path: Path, inside: str) -> None:
    write_omniglot(tmp_path / inside)
    listing = list_source(tmp_path)
    assert (listing.name, listing.dataset, len(listing.class_names)) == ("omniglot", "omniglot", 1623)
    assert listing.splits == read_packaged_list("omniglot")
    counts = [len(numbers) for numbers in split_classes(listing.class_names, None, 0, listing.splits).values()]
    assert counts == [1028, 172, 423]


def test_rotated_characters_are_classes_of_their_own_that_stay_in_one_split(tmp_path: Path) -> None:
    listing = list_source(write_omniglot(tmp_path), rotated=True)
    assert (len(listing.class_names), len(listing.images)) == (6492, 6492)
    assert listing.class_names[:4] == tuple(f"Alphabet_of_the_Magi/character01/rot{degrees}" for degrees in ("000", "090", "180", "270"))
    assert [image.rot90 for image in listing.images[:4]] == [0, 1, 2, 3]
    assert len({image.name for image in listing.images[:4]}) == 1
    lists = split_classes(listing.class_names, None, 0, listing.splits)
    assert [len(numbers) for numbers in lists.values()] == [4 * 1028, 4 * 172, 4 * 423]
    assert split_classes(listing.class_names, "omniglot", 0) == lists
    for splits in (lists, split_classes(listing.class_names, "0.5,0.25,0.25", 3)):
        characters = [{unturned(listing.class_names[number]) for number in numbers} for numbers in splits.values()]
        assert sum(map(len, characters)) == 1623
        assert len(set.union(*characters)) == 1623


def test_a_turn_of_the_pixels_is_counter_clockwise(tmp_path: Path) -> None:
    root = write_few_characters(tmp_path)
    pixels = np.zeros((4, 4), np.uint8)
    pixels[0, 3] = 255
    Image.fromarray(pixels).save(next((root / "images_background" / "Alphabet_of_the_Magi" / "character01").iterdir()))
    turned = [decode_image(image, 4)[..., 0] for image in list_source(root, rotated=True).images[:4]]
    assert [tuple(int(place[0]) for place in np.nonzero(image)) for image in turned] == [(0, 3), (0, 0), (3, 0), (3, 3)]


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
