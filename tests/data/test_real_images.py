"""Real CUB, Omniglot, CIFAR-FS and FC100, from the folder in S2M2_TEST_DATA: exact counts, pixels, digests, known equal images."""

import os
import tarfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from s2m2.data.dataset import SPLITS
from s2m2.data.inspection import diagnose, folder_subject, observe
from s2m2.data.prepare import prepare
from s2m2.data.sources import Listing, list_source
from s2m2.data.splits import read_packaged_list, split_classes
from s2m2.data.standard_datasets import DATASETS
from tests.data.files import touch

ROOT = Path(os.environ.get("S2M2_TEST_DATA", "real-images"))
ARCHIVES = {
    "cub": ("cub/part_1.tar", "cub/part_2.tar"),
    "omniglot": ("omniglot.tar.gz",),
    "cifar_fs": ("cifar_fs/train_1.tar", "cifar_fs/train_2.tar", "cifar_fs/val.tar", "cifar_fs/test.tar"),
}
Member = tuple[tarfile.TarFile, tarfile.TarInfo]


def needs(name: str) -> pytest.MarkDecorator:
    missing = [str(ROOT / file) for file in ARCHIVES[name] if not (ROOT / file).is_file()]
    return pytest.mark.skipif(bool(missing), reason=f"no real images: {' '.join(missing[:1])} is missing; set S2M2_TEST_DATA")


def members(name: str) -> Iterator[Member]:
    for file in ARCHIVES[name]:
        with tarfile.open(ROOT / file) as archive:
            yield from ((archive, member) for member in archive if member.isfile())


def class_of(member: tarfile.TarInfo) -> PurePosixPath:
    return PurePosixPath(member.name).parent


def a_part(name: str, folder: Path, each: int) -> Counter[PurePosixPath]:
    """Unpack the first images of every class, and all files that are no images; returns how many images each class has."""
    counts: Counter[PurePosixPath] = Counter()
    for archive, member in members(name):
        is_image = member.name.endswith((".png", ".jpg"))
        if not is_image or counts[class_of(member)] < each:
            archive.extract(member, folder, filter="data")
        counts[class_of(member)] += is_image
    return +counts


def counts_of(listing: Listing, images: Callable[[str], int]) -> tuple[dict[str, int], dict[str, int]]:
    """Classes and images of each split, by the number of images that each class has in the archive."""
    numbers = split_classes(listing.class_names, None, 0, listing.splits)
    classes = {split: len(numbers[split]) for split in SPLITS}
    return classes, {split: sum(images(listing.class_names[number]) for number in numbers[split]) for split in SPLITS}


@needs("cub")
def test_cub_has_its_exact_counts_and_a_part_becomes_a_dataset(tmp_path: Path) -> None:
    found = {path.name: number for path, number in a_part("cub", tmp_path, 2).items()}
    listing_file = tmp_path / "CUB_200_2011" / "images.txt"
    lines = listing_file.read_text().splitlines()
    whole = touch(tmp_path / "whole", (f"images/{line.split()[1]}" for line in lines))
    for file in ("images.txt", "classes.txt"):
        (whole / file).write_bytes((tmp_path / "CUB_200_2011" / file).read_bytes())
    # No reader opens an image, so that empty files do.
    listing = list_source(whole)
    assert (listing.dataset, listing.left_out, len(listing.images)) == ("cub", {}, 11_788)
    assert Counter(listing.class_names[label] for label in listing.labels) == found
    assert counts_of(listing, found.__getitem__) == (DATASETS["cub"].classes, DATASETS["cub"].images)
    listing_file.write_text("\n".join(line for line in lines if (tmp_path / "CUB_200_2011" / "images" / line.split()[1]).is_file()))
    dataset = prepare(tmp_path / "CUB_200_2011", tmp_path / "dataset", workers=1)
    assert dataset.images.shape == (400, 92, 92, 3)
    assert {split: len(dataset.splits[split]) for split in SPLITS} == DATASETS["cub"].classes


@needs("omniglot")
def test_omniglot_has_its_exact_counts_and_a_part_becomes_a_dataset(tmp_path: Path) -> None:
    found = {f"{path.parent.name}/{path.name}": number for path, number in a_part("omniglot", tmp_path, 1).items()}
    assert set(found.values()) == {20}
    listing = list_source(tmp_path)
    assert (listing.dataset, listing.left_out, set(listing.class_names)) == ("omniglot", {}, set(found))
    assert counts_of(listing, found.__getitem__) == (DATASETS["omniglot"].classes, DATASETS["omniglot"].images)
    dataset = prepare(tmp_path, tmp_path.with_name("omniglot dataset"), workers=1)
    assert dataset.images.shape == (1623, 28, 28, 3)
    assert {0, 255} <= set(np.unique(dataset.images))


@needs("cifar_fs")
def test_cifar_fs_and_fc100_have_their_exact_counts_and_known_equal_images(tmp_path: Path) -> None:
    locations: dict[str, tuple[Path, int, int]] = {}
    by_content: dict[bytes, list[str]] = defaultdict(list)
    for archive, member in members("cifar_fs"):
        if member.name.endswith(".png"):
            stream = archive.extractfile(member)
            assert stream is not None
            by_content[sha256(stream.read()).digest()].append(member.name)
            locations[member.name] = Path(str(archive.name)), member.offset_data, member.size
        else:
            archive.extract(member, tmp_path, filter="data")
    found = Counter(PurePosixPath(name).parent.name for name in locations)
    assert set(found.values()) == {600}
    pairs = {frozenset(names) for names in by_content.values() if len(names) > 1}
    firsts = {PurePosixPath(name).parent: name for name in locations}.values()
    for name in {*firsts, *(name for pair in pairs for name in pair)}:
        file, start, length = locations[name]
        with file.open("rb") as content:
            content.seek(start)
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content.read(length))
    for dataset in ("cifar_fs", "fc100"):
        listing = list_source(tmp_path, dataset)
        assert (listing.dataset, listing.left_out, set(listing.class_names)) == (dataset, {}, set(found))
        assert counts_of(listing, found.__getitem__) == (DATASETS[dataset].classes, DATASETS[dataset].images)
    dataset = prepare(tmp_path, tmp_path.with_name("fc100 dataset"), dataset="fc100", workers=1)
    assert dataset.images.shape[1:] == (32, 32, 3)
    # That equal files are all the equal images there are is seen by `s2m2 doctor` on the whole; this is what it should find.
    subject = folder_subject(tmp_path / "cifar100" / "data", dataset="own", splits="cifar_fs")
    diagnosis = diagnose(subject, observe(subject, workers=1), ways=5, shots=1, queries=0)
    sets = {finding.title.partition(" of exactly equal images ")[2]: finding for finding in diagnosis.of("finding")}
    across = sets["in different splits, 30 images in all"]
    assert (len(pairs), len(across.groups)) == (26, 15)
    names = [PurePosixPath(image.name).relative_to(tmp_path).as_posix() for image in subject.images]
    groups = {frozenset(names[row] for row in group) for finding in sets.values() for group in finding.groups}
    assert groups == pairs


ARCHIVE = ROOT / "cifar_fs" / "val.tar"
pytestmark = pytest.mark.skipif(not ARCHIVE.is_file(), reason=f"no real images: {ARCHIVE} is missing; set S2M2_TEST_DATA")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_the_validation_classes_become_a_dataset_of_their_exact_pixels(root: Path, tmp_path: Path) -> None:
    dataset = prepare(root / "cifar100" / "data", tmp_path / "dataset", splits="0.5,0.25,0.25", name="cifar_fs validation")
    assert dataset.images.shape == (9600, 32, 32, 3)
    assert dataset.class_names == tuple(sorted(read_packaged_list("cifar_fs")["validation"]))
    assert (np.bincount(dataset.labels) == 600).all()
    files = sorted((root / "cifar100" / "data" / "beaver").iterdir())
    for index in (0, 17, 599):
        np.testing.assert_array_equal(dataset.images[index], np.asarray(Image.open(files[index])))


def test_the_whole_list_over_a_part_of_the_classes_names_the_missing_ones(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"class list cifar_fs names, but without images,: apple, .* and 79 more"):
        prepare(root / "cifar100" / "data", tmp_path / "dataset", splits="cifar_fs")
    assert list(tmp_path.iterdir()) == []
