"""CIFAR-FS and FC100: torchvision's CIFAR-100, Bertinetto's archive, learn2learn's pickles; only the network is made up."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2m2.data.sources import cifar, download_cifar100, list_source
from s2m2.data.splits import read_packaged_list, split_classes
from s2m2.errors import InputError
from tests.data.files import classes_of, noise, pixels, touch, write_pickle

NAMES = sorted(name for listed in classes_of("cifar_fs").values() for name in listed)


def write_cifar100(root: Path) -> Path:
    """Two images of each class in `train`, one in `test`, as rows of 1,024 red, green and blue values."""
    for seed, (file, each) in enumerate((("train", 2), ("test", 1))):
        images, labels = noise(100 * each, size=32, seed=seed), [*range(100)] * each
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
def test_torchvisions_cifar_100_becomes_either_dataset(tmp_path: Path, dataset: str, name: str, base: int) -> None:
    write_cifar100(tmp_path / "cifar-100-python")
    listing = list_source(tmp_path, dataset)
    assert (listing.name, listing.dataset, listing.class_names, len(listing.images)) == (name, name, tuple(NAMES), 300)
    assert len(split_classes(listing.class_names, None, 0, listing.splits)["base"]) == base
    found = pixels(listing, "bee", 32)
    index = NAMES.index("bee")
    test, train = noise(100, size=32, seed=1), noise(200, size=32)
    # In the order of file names: test_s_9, train_s_8, train_s_9.
    np.testing.assert_array_equal(found, [test[index], train[100 + index], train[index]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({b"fine_labels": [100] * 200}, "train has fine_labels outside 0 to 99"),
        ({b"fine_labels": [0]}, "train must hold as many rows of 3,072 bytes"),
        ({b"data": noise(200, size=4).reshape(200, -1)}, "train must hold as many rows of 3,072 bytes"),
        ({b"filenames": 3}, "train: filenames is no list of names"),
    ],
)
def test_a_file_of_cifar_100_of_another_shape_is_an_error(tmp_path: Path, change: dict[bytes, Any], message: str) -> None:
    write_cifar100(tmp_path)
    labels = [*range(100)] * 2
    content = {b"data": noise(200, size=32).reshape(200, -1), b"fine_labels": labels, b"filenames": [b"a"] * 200}
    write_pickle(tmp_path / "train", content | change, 2)
    with pytest.raises(InputError, match=message):
        list_source(tmp_path, "fc100")


def test_a_complete_file_must_be_the_one_that_torchvision_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar100(tmp_path)
    monkeypatch.setattr(cifar, "CIFAR100_IMAGES", {"train": 200, "test": 10_000})
    with pytest.raises(InputError, match=r"train is not the file that torchvision downloads, as its MD5 is .* not 16019d7e"):
        list_source(tmp_path, "cifar_fs")
    torchvision = pytest.importorskip("torchvision.datasets")
    monkeypatch.setattr(torchvision.CIFAR100, "train_list", [["train", hashlib.md5((tmp_path / "train").read_bytes()).hexdigest()]])
    assert len(list_source(tmp_path, "cifar_fs").images) == 300


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


def write_cifar_fs(root: Path) -> Path:
    touch(root / "data", (f"{name}/0.png" for listed in read_packaged_list("cifar_fs").values() for name in listed))
    (root / "splits" / "bertinetto").mkdir(parents=True)
    for file, split in (("train", "base"), ("val", "validation"), ("test", "novel")):
        names = read_packaged_list("cifar_fs")[split]  # type: ignore[index]
        (root / "splits" / "bertinetto" / f"{file}.txt").write_text("\n".join(names) + "\n")
    return root


@pytest.mark.parametrize("inside", [".", "cifar100", "cifarfs/cifar100"])
def test_bertinettos_folder_is_cifar_fs_or_when_told_fc100(tmp_path: Path, inside: str) -> None:
    write_cifar_fs(tmp_path / inside)
    for dataset, name in (("auto", "cifar_fs"), ("cifar_fs", "cifar_fs"), ("fc100", "fc100")):
        listing = list_source(tmp_path, dataset)
        assert (listing.name, listing.dataset, len(listing.class_names)) == (name, name, 100)
        assert split_classes(listing.class_names, None, 0, listing.splits) == split_classes(listing.class_names, name, 0)


def test_a_class_that_the_folders_lists_name_must_have_images(tmp_path: Path) -> None:
    root = write_cifar_fs(tmp_path)
    (root / "data" / "bee" / "0.png").unlink()
    with pytest.raises(InputError, match=r"class bee has no image in .*bee"):
        list_source(root)
    (root / "splits" / "bertinetto" / "val.txt").unlink()
    touch(root, ["data/bee/0.png"])
    with pytest.raises(InputError, match=r"cannot read class list .*val\.txt"):
        list_source(root)


def write_fc100(root: Path, *, original: bool) -> None:
    names = sorted(name for listed in classes_of("fc100").values() for name in listed)
    for stem, listed in classes_of("fc100").items():
        numbers = [names.index(name) if original else index for index, name in enumerate(listed)]
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
