"""mini-ImageNet, tieredImageNet, FC100 and CIFAR-100 as pickles, in the exact shapes in which they go round."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2m2.data.decoding import decode_picture
from s2m2.data.picture import StoredPicture
from s2m2.data.sources import Listing, cifar100, download_cifar100, list_source
from s2m2.data.splitting import read_packaged_list, split_classes
from s2m2.errors import InputError
from tests.data.sources.trees import STEMS, classes_of, noise, png, touch, write_pickle


def pixels(listing: Listing, class_name: str, side: int) -> list[np.ndarray]:
    number = listing.class_names.index(class_name)
    return [decode_picture(picture, side) for picture, label in zip(listing.pictures, listing.labels, strict=True) if label == number]


def write_mini(root: Path, protocol: int = 4, validation: str = "val") -> dict[str, dict[str, Any]]:
    """Two pictures of each class, the classes in turn, so that the rows of a class are not neighbours."""
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
    assert (listing.name, listing.dataset, len(listing.class_names), len(listing.pictures)) == ("mini_imagenet", "mini_imagenet", 100, 200)
    assert listing.splits == read_packaged_list("mini_imagenet")
    for stem, names in classes_of("mini_imagenet").items():
        for name in (names[0], names[-1]):
            rows = written[stem]["class_dict"][name]
            np.testing.assert_array_equal(pixels(listing, name, 84), written[stem]["image_data"][rows])


def test_rows_of_a_cache_are_views_of_one_array(tmp_path: Path) -> None:
    write_mini(tmp_path)
    stored = [picture for picture in list_source(tmp_path).pictures if isinstance(picture, StoredPicture)]
    train = [picture.content for picture in stored if picture.archive.name == "mini-imagenet-cache-train.pkl"]
    assert len(train) == 128
    owners = set()
    for content in train:
        assert isinstance(content, np.ndarray)
        while isinstance(content.base, np.ndarray):
            content = content.base
        owners.add(id(content.base))
    assert len(owners) == 1


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
    """Two pictures of each class; ILSVRC has two classes that are called crane, one of which is in tieredImageNet."""
    written = {}
    lines: list[tuple[str, str]] = [("n99999999", "crane")]
    for seed, (stem, names) in enumerate(classes_of("tiered_imagenet").items()):
        texts = ["crane" if name == "n02012849" else f"name of {name}" for name in names]
        lines += zip(names, texts, strict=True)
        written[stem] = list(noise(2 * len(names), side=6, seed=seed))
        encoded = [png(picture) for picture in written[stem]]
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
    assert (listing.dataset, len(listing.class_names), len(listing.pictures)) == ("tiered_imagenet", 608, 1216)
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
        ("val_labels.pkl", {"label_specific": [0]}, r"val_images_png\.pkl holds 194 pictures, but .*val_labels\.pkl 1 labels"),
        ("val_labels.pkl", {"labels": [0]}, r"val_labels\.pkl has no entry label_specific, but labels"),
        ("val_labels.pkl", {"label_specific": [9] * 194, "label_specific_str": ["a"]}, r"val_labels\.pkl has labels outside 0 to 0"),
        ("val_images_png.pkl", [noise(1, 6)], r"val_images_png\.pkl holds no list of pictures as PNG bytes"),
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
        write_pickle(root / f"FC100_{stem}.pickle", {"data": noise(len(numbers), side=32), "labels": numbers}, 2)


@pytest.mark.parametrize("original", [True, False])
def test_fc100_pickles_have_the_classes_of_cifar_100_where_their_numbers_tell(tmp_path: Path, original: bool) -> None:
    write_fc100(tmp_path, original=original)
    listing = list_source(tmp_path)
    assert (listing.name, len(listing.class_names), len(listing.pictures)) == ("fc100", 100, 100)
    splits = split_classes(listing.class_names, "fc100" if original else None, 0, listing.splits)
    assert [len(numbers) for numbers in splits.values()] == [60, 20, 20]
    assert ("apple" in listing.class_names) == original
    (tmp_path / "FC100_val.pickle").unlink()
    with pytest.raises(InputError, match=r"cannot read .*FC100_val\.pickle"):
        list_source(tmp_path)


NAMES = sorted(name for listed in classes_of("cifar_fs").values() for name in listed)


def write_cifar100(root: Path) -> Path:
    """Two pictures of each class in `train`, one in `test`, as rows of 1,024 red, green and blue values."""
    for seed, (file, each) in enumerate((("train", 2), ("test", 1))):
        images, labels = noise(100 * each, side=32, seed=seed), [*range(100)] * each
        content = {
            b"data": images.transpose(0, 3, 1, 2).reshape(-1, 3072),
            b"fine_labels": labels,
            b"coarse_labels": labels,
            b"filenames": [f"{file}_s_{9 - row // 100}.png".encode() for row in range(100 * each)],
        }
        write_pickle(root / file, content, 2)
    write_pickle(root / "meta", {b"fine_label_names": [name.encode() for name in NAMES], b"coarse_label_names": []}, 2)
    return root


@pytest.mark.parametrize(("dataset", "name", "base"), [("auto", "cifar_fs", 64), ("cifar_fs", "cifar_fs", 64), ("fc100", "fc100", 60)])
def test_torchvisions_cifar_100_becomes_either_data_set(tmp_path: Path, dataset: str, name: str, base: int) -> None:
    write_cifar100(tmp_path / "cifar-100-python")
    listing = list_source(tmp_path, dataset)
    assert (listing.name, listing.dataset, listing.class_names, len(listing.pictures)) == (name, name, tuple(NAMES), 300)
    assert len(split_classes(listing.class_names, None, 0, listing.splits)["base"]) == base
    found = pixels(listing, "bee", 32)
    place = NAMES.index("bee")
    test, train = noise(100, side=32, seed=1), noise(200, side=32)
    # In the order of file names: test_s_9, train_s_8, train_s_9.
    np.testing.assert_array_equal(found, [test[place], train[100 + place], train[place]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({b"fine_labels": [100] * 200}, "train has fine_labels outside 0 to 99"),
        ({b"fine_labels": [0]}, "train must hold as many rows of 3,072 bytes"),
        ({b"data": noise(200, side=4).reshape(200, -1)}, "train must hold as many rows of 3,072 bytes"),
        ({b"filenames": 3}, "train: filenames is no list of names"),
    ],
)
def test_a_file_of_cifar_100_of_another_shape_is_an_error(tmp_path: Path, change: dict[bytes, Any], message: str) -> None:
    write_cifar100(tmp_path)
    labels = [*range(100)] * 2
    content = {b"data": noise(200, side=32).reshape(200, -1), b"fine_labels": labels, b"filenames": [b"a"] * 200}
    write_pickle(tmp_path / "train", content | change, 2)
    with pytest.raises(InputError, match=message):
        list_source(tmp_path, "fc100")


def test_a_complete_file_must_be_the_one_that_torchvision_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar100(tmp_path)
    monkeypatch.setattr(cifar100, "COMPLETE", {"train": 200, "test": 10_000})
    with pytest.raises(InputError, match=r"train is not the file that torchvision downloads, as its MD5 is .* not 16019d7e"):
        list_source(tmp_path, "cifar_fs")
    torchvision = pytest.importorskip("torchvision.datasets")
    monkeypatch.setattr(torchvision.CIFAR100, "train_list", [["train", hashlib.md5((tmp_path / "train").read_bytes()).hexdigest()]])
    assert len(list_source(tmp_path, "cifar_fs").pictures) == 300


def test_a_download_fetches_what_is_missing_checks_it_and_names_what_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision = pytest.importorskip("torchvision.datasets")
    fetched: list[str] = []

    def fetch(url: str, root: str, filename: str, md5: str) -> None:
        fetched.append(filename)
        write_cifar100(Path(root) / "cifar-100-python")

    monkeypatch.setattr(torchvision.utils, "download_and_extract_archive", fetch)
    with pytest.raises(InputError, match="train is not the file that torchvision downloads"):
        download_cifar100(tmp_path)
    for known in ("train_list", "test_list"):
        file = known.removesuffix("_list")
        digest = hashlib.md5((tmp_path / "cifar-100-python" / file).read_bytes()).hexdigest()
        monkeypatch.setattr(torchvision.CIFAR100, known, [[file, digest]])
    assert download_cifar100(tmp_path) == tmp_path / "cifar-100-python"
    assert fetched == ["cifar-100-python.tar.gz"]

    def fail(*_: object, **__: object) -> None:
        raise OSError("no route\nto host")

    monkeypatch.setattr(torchvision.utils, "download_and_extract_archive", fail)
    with pytest.raises(InputError, match=r"cannot download CIFAR-100 to .*elsewhere: no route to host"):
        download_cifar100(tmp_path / "elsewhere")


def test_folders_without_the_files_are_named_with_what_they_need(tmp_path: Path) -> None:
    touch(tmp_path, ["a/0.png"])
    for dataset in ("cifar_fs", "fc100"):
        with pytest.raises(InputError, match=rf"not laid out as {dataset}: it needs .*torchvision's cifar-100-python"):
            list_source(tmp_path, dataset)
