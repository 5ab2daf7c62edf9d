"""CUB-200-2011 in its original layout."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2m2.data.decode import decode_image
from s2m2.data.sources import list_source
from s2m2.data.splits import split_classes
from s2m2.errors import InputError
from tests.data.files import classes_of, noise_image, touch

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
def test_cub_is_recognized_with_s2m2s_split(tmp_path: Path, inside: str) -> None:
    write_cub(tmp_path / inside)
    listing = list_source(tmp_path)
    assert (listing.name, listing.class_names, len(listing.images)) == ("cub", tuple(BIRDS), 201)
    assert [Path(image.name).name for image in listing.images[:2]] == [f"{BIRDS[0][4:]}_000{number}.jpg" for number in (0, 1)]
    splits = split_classes(listing.class_names, None, 0, listing.splits)
    assert splits == split_classes(listing.class_names, "cub", 0)
    assert splits["base"] == tuple(range(0, 200, 2))
    assert splits["novel"] == tuple(range(3, 200, 4))


def test_a_bounding_box_is_what_is_left_of_an_image(tmp_path: Path) -> None:
    write_cub(tmp_path)
    noise_image(20, 30).save(tmp_path / "images" / BIRDS[0] / f"{BIRDS[0][4:]}_0000.jpg", "png")
    image = list_source(tmp_path, box=True).images[0]
    assert image.box == (2, 3, 6, 9)
    expected = Image.fromarray(np.asarray(noise_image(20, 30))[3:9, 2:6]).resize((6, 6), Image.Resampling.BILINEAR)
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
