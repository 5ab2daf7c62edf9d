"""Real CIFAR-FS images, where they are at hand: the folder that the environment variable S2M2_TEST_DATA names."""

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2m2.data.preparation import prepare
from s2m2.data.splitting import read_packaged_list

ROOT = Path(os.environ.get("S2M2_TEST_DATA", "real-images"))
ARCHIVE = ROOT / "cifar_fs" / "val.tar"

pytestmark = pytest.mark.skipif(not ARCHIVE.is_file(), reason=f"no real images: {ARCHIVE} is missing; set S2M2_TEST_DATA")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_the_validation_classes_become_a_table_of_their_exact_pixels(root: Path, tmp_path: Path) -> None:
    dataset = prepare(root / "cifar100" / "data", tmp_path / "dataset", splits="0.5,0.25,0.25", name="cifar_fs validation")
    assert dataset.images.shape == (9600, 32, 32, 3)
    assert dataset.class_names == tuple(sorted(read_packaged_list("cifar_fs")["validation"]))
    assert (np.bincount(dataset.labels) == 600).all()
    files = sorted((root / "cifar100" / "data" / "beaver").iterdir())
    for place in (0, 17, 599):
        np.testing.assert_array_equal(dataset.images[place], np.asarray(Image.open(files[place])))


def test_the_whole_list_over_a_part_of_the_classes_names_the_missing_ones(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"class list cifar_fs names, but without images,: apple, .* and 79 more"):
        prepare(root / "cifar100" / "data", tmp_path / "dataset", splits="cifar_fs")
    assert list(tmp_path.iterdir()) == []
