"""mini-ImageNet, tieredImageNet and FC100 as pickles, in the exact shapes in which they go round."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2m2.data.decoding import decode_image
from s2m2.data.image import Extent, StoredImage
from s2m2.data.sources import list_source
from s2m2.data.splitting import read_packaged_list, split_classes
from s2m2.errors import InputError
from tests.data.sources.trees import STEMS, classes_of, noise, pixels, png, touch, write_pickle


def write_mini(root: Path, protocol: int = 4, validation: str = "val") -> dict[str, dict[str, Any]]:
    """Two images of each class, the classes in turn, so that the rows of a class are not neighbors."""
    written = {}
    for seed, (stem, names) in enumerate(classes_of("mini_imagenet").items()):
        count = len(names)
        rows = {name: [place, place + count] for place, name in enumerate(names)}
        written[stem] = {"image_data": noise(2 * count, seed=seed), "class_dict": rows}
        file = f"mini-imagenet-cache-{validation if stem == 'val' else stem}.pkl"
        write_pickle(root / file, written[stem], protocol)
    return written


@pytest.mark.parametrize(("protocol", "validation"), [(4, "val"), (2, "validation")])
def test_mini_imagenet_caches_are_recognised_with_every_pixel(tmp_path: Path, protocol: int, validation: str) -> None:
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
        np.testing.assert_array_equal(image.content.read(image.archive), written[stem]["image_data"][image.row])
    os.truncate(stored[-1].archive, 1000)
    with pytest.raises(InputError, match=rf"{stored[-1].archive.name}#{stored[-1].row}: the file has become shorter"):
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


def write_tiered(root: Path, *, flat: bool = False) -> dict[str, list[np.ndarray]]:
    """Two images of each class; ILSVRC has two classes that are called crane, one of which is in tieredImageNet."""
    written = {}
    lines: list[tuple[str, str]] = [("n99999999", "crane")]
    for seed, (stem, names) in enumerate(classes_of("tiered_imagenet").items()):
        texts = ["crane" if name == "n02012849" else f"name of {name}" for name in names]
        lines += zip(names, texts, strict=True)
        written[stem] = list(noise(2 * len(names), size=6, seed=seed))
        encoded = [png(image) for image in written[stem]]
        write_pickle(root / f"{stem}_images_png.pkl", [item[:, 0].tobytes() for item in encoded] if flat else encoded, 2)
        labels = {"label_specific": np.arange(2 * len(names), dtype=np.int32) // 2, "label_specific_str": texts}
        write_pickle(root / f"{stem}_labels.pkl", labels | {"label_general": np.zeros(2 * len(names), np.int32)}, 2)
    (root / "synsets.txt").write_text("".join(f"{name}\n" for name, _ in lines))
    (root / "class_names.txt").write_text("".join(f"{text}\n" for _, text in lines))
    return written


@pytest.mark.parametrize(("inside", "flat"), [(".", False), ("tiered-imagenet", True)])
def test_tiered_imagenet_pickles_are_recognised_with_every_pixel(tmp_path: Path, inside: str, flat: bool) -> None:
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


def write_fc100(root: Path, *, original: bool) -> None:
    names = sorted(name for listed in classes_of("fc100").values() for name in listed)
    for stem, listed in classes_of("fc100").items():
        numbers = [names.index(name) if original else place for place, name in enumerate(listed)]
        write_pickle(root / f"FC100_{stem}.pickle", {"data": noise(len(numbers), size=32), "labels": numbers}, 2)


@pytest.mark.parametrize("original", [True, False])
def test_fc100_pickles_have_the_classes_of_cifar_100_where_their_numbers_tell(tmp_path: Path, original: bool) -> None:
    write_fc100(tmp_path, original=original)
    listing = list_source(tmp_path)
    assert (listing.name, len(listing.class_names), len(listing.images)) == ("fc100", 100, 100)
    splits = split_classes(listing.class_names, "fc100" if original else None, 0, listing.splits)
    assert [len(numbers) for numbers in splits.values()] == [60, 20, 20]
    assert ("apple" in listing.class_names) == original
    (tmp_path / "FC100_val.pickle").unlink()
    with pytest.raises(InputError, match=r"cannot read .*FC100_val\.pickle"):
        list_source(tmp_path)


def test_folders_without_the_files_are_named_with_what_they_need(tmp_path: Path) -> None:
    touch(tmp_path, ["a/0.png"])
    for dataset in ("cifar_fs", "fc100"):
        with pytest.raises(InputError, match=rf"not laid out as {dataset}: it needs .*torchvision's cifar-100-python"):
            list_source(tmp_path, dataset)
