"""tieredImageNet: pickles, and class folders of ILSVRC."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from s2m2.data.sources import list_source
from s2m2.data.splits import read_packaged_list, split_classes
from s2m2.errors import InputError
from tests.data.files import STEMS, classes_of, noise, pixels, png, touch, write_pickle


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


@pytest.mark.parametrize("name", ["mini_imagenet", "tiered_imagenet"])
def test_a_folder_of_something_else_is_an_error_that_tells_what_is_needed(tmp_path: Path, name: str) -> None:
    touch(tmp_path, ["a/0.jpg"])
    with pytest.raises(InputError, match=f"is not laid out as {name}: it needs .*class folders, all together or under train, val and test"):
        list_source(tmp_path, name)


@cache
def encoded_noise(count: int, seed: int) -> list[np.ndarray]:
    return [png(image) for image in noise(count, size=6, seed=seed)]


def write_tiered(root: Path, *, flat: bool = False) -> dict[str, list[np.ndarray]]:
    """Two images of each class; ILSVRC has two classes that are called crane, one of which is in tieredImageNet."""
    written = {}
    lines: list[tuple[str, str]] = [("n99999999", "crane")]
    for seed, (stem, names) in enumerate(classes_of("tiered_imagenet").items()):
        texts = ["crane" if name == "n02012849" else f"name of {name}" for name in names]
        lines += zip(names, texts, strict=True)
        written[stem] = list(noise(2 * len(names), size=6, seed=seed))
        encoded = encoded_noise(2 * len(names), seed)
        write_pickle(root / f"{stem}_images_png.pkl", [item[:, 0].tobytes() for item in encoded] if flat else encoded, 2)
        labels = {"label_specific": np.arange(2 * len(names), dtype=np.int32) // 2, "label_specific_str": texts}
        write_pickle(root / f"{stem}_labels.pkl", labels | {"label_general": np.zeros(2 * len(names), np.int32)}, 2)
    (root / "synsets.txt").write_text("".join(f"{name}\n" for name, _ in lines))
    (root / "class_names.txt").write_text("".join(f"{text}\n" for _, text in lines))
    return written


@pytest.mark.parametrize(("inside", "flat"), [(".", False), ("tiered-imagenet", True)])
def test_tiered_imagenet_pickles_are_recognized_with_every_pixel(tmp_path: Path, inside: str, flat: bool) -> None:
    written = write_tiered(tmp_path / inside, flat=flat)
    listing = list_source(tmp_path)
    assert (listing.dataset, len(listing.class_names), len(listing.images)) == ("tiered_imagenet", 608, 1216)
    lists = read_packaged_list("tiered_imagenet")
    assert listing.splits is not None
    for split, stem in STEMS.items():
        assert listing.splits[split] == lists[split]  # type: ignore[index]
        np.testing.assert_array_equal(pixels(listing, lists[split][7], 6), written[stem][14:16])  # type: ignore[index]
    assert split_classes(listing.class_names, "tiered_imagenet", 0) == split_classes(listing.class_names, None, 0, listing.splits)


def test_without_the_lists_of_names_classes_keep_those_of_the_pickles(tmp_path: Path) -> None:
    write_tiered(tmp_path)
    (tmp_path / "synsets.txt").unlink()
    listing = list_source(tmp_path, "tiered_imagenet")
    splits = split_classes(listing.class_names, None, 0, listing.splits)
    assert [len(numbers) for numbers in splits.values()] == [351, 97, 160]
    assert f"name of {read_packaged_list('tiered_imagenet')['novel'][0]}" in listing.class_names


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("val_labels.pkl", {"label_specific": [0]}, r"val_images_png\.pkl holds 194 images, but .*val_labels\.pkl 1 labels"),
        ("val_labels.pkl", {"labels": [0]}, r"val_labels\.pkl has no entry label_specific, but labels"),
        ("val_labels.pkl", {"label_specific": [9] * 194, "label_specific_str": ["a"]}, r"val_labels\.pkl has labels outside 0 to 0"),
        ("val_images_png.pkl", [noise(1, 6)], r"val_images_png\.pkl holds no list of images as PNG bytes"),
        ("val_images_png.pkl", [np.array(7, np.uint8)], r"val_images_png\.pkl holds no list"),
        ("val_images_png.pkl", {}, r"val_images_png\.pkl holds no list"),
    ],
)
def test_a_pickle_of_tiered_imagenet_of_another_shape_is_an_error(tmp_path: Path, file: str, content: object, message: str) -> None:
    write_tiered(tmp_path)
    write_pickle(tmp_path / file, content)
    with pytest.raises(InputError, match=message):
        list_source(tmp_path)
