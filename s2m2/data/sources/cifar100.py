"""CIFAR-100 as torchvision downloads it: the folder `cifar-100-python` with the pickles `train`, `test` and `meta`.

CIFAR-FS and FC100 divide its 100 classes; each class has 500 images in `train` and 100 in `test`, 600 together.
"""

import hashlib
from pathlib import Path

import numpy as np

from s2m2.data.image import ListedImage, StoredImage
from s2m2.data.sources.listing import Listing, listing_of
from s2m2.data.sources.pickled import array_in, dict_in, list_in, texts_in
from s2m2.data.sources.scanning import NaturalKey, natural_key
from s2m2.errors import InputError

FOLDER = "cifar-100-python"
COMPLETE = {"train": 50_000, "test": 10_000}
"""Images in each file of the whole dataset."""


def find_root(folder: Path) -> Path | None:
    """The folder with the pickles: `folder` itself or the `cifar-100-python` in it."""
    for root in (folder, folder / FOLDER):
        if all((root / file).is_file() for file in ("train", "test", "meta")):
            return root
    return None


def list_images(folder: Path) -> Listing:
    """The images of CIFAR-100 by their fine classes, each class in natural order of the images' original file names.

    Raises:
        InputError: the folder has another layout, or a file is damaged, of another shape or not the one that torchvision knows.
    """
    root = find_root(folder)
    if root is None:
        raise InputError(f"{folder} is not laid out as torchvision's CIFAR-100: it needs {FOLDER}/ with train, test and meta")
    names = texts_in(dict_in(root / "meta"), "fine_label_names", root / "meta")
    found: dict[str, list[tuple[str, ListedImage]]] = {name: [] for name in names}
    for file in ("train", "test"):
        path = root / file
        content = dict_in(path)
        rows = array_in(content, "data", path)
        labels = list_in(content, "fine_labels", path)
        files = texts_in(content, "filenames", path)
        if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != 3 * 32 * 32 or not len(rows) == len(labels) == len(files):
            raise InputError(f"{path} must hold as many rows of 3,072 bytes as fine_labels and filenames")
        if not all(0 <= label < len(names) for label in labels):
            raise InputError(f"{path} has fine_labels outside 0 to {len(names) - 1}, the classes that meta names")
        if len(rows) == COMPLETE[file]:
            _check(path)
        images = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        for row, (label, name) in enumerate(zip(labels, files, strict=True)):
            found[names[label]].append((name, StoredImage(archive=path, row=row, content=images[row])))
    # Sorted as the folders of Bertinetto's archive are, so that the same images become the same dataset.
    classes = {name: [image for _, image in sorted(pairs, key=_file_order)] for name, pairs in found.items()}
    return listing_of(classes, "cifar100", root)


def download_cifar100(root: Path) -> Path:
    """Have torchvision download CIFAR-100 into `root`, unless it is there, and check it. Returns the folder of its files.

    torchvision's dataset class is not constructed, as that would unpickle the files.

    Raises:
        InputError: the download fails, or what lies there is damaged.
    """
    from torchvision.datasets import CIFAR100
    from torchvision.datasets.utils import check_integrity, download_and_extract_archive

    try:
        if not all(check_integrity(str(root / FOLDER / file), md5) for file, md5 in _known_md5().items()):
            download_and_extract_archive(CIFAR100.url, str(root), filename=CIFAR100.filename, md5=CIFAR100.tgz_md5)
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(f"torchvision cannot download CIFAR-100 to {root}: {' '.join(str(error).split())}") from error
    for file in _known_md5():
        _check(root / FOLDER / file)
    return root / FOLDER


def _known_md5() -> dict[str, str]:
    from torchvision.datasets import CIFAR100  # takes a second, and only a check needs it

    return dict(CIFAR100.train_list + CIFAR100.test_list)


def _check(path: Path) -> None:
    """Compare a file with the MD5 that torchvision knows."""
    known = _known_md5()[path.name]
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if found != known:
        raise InputError(f"{path} is not the file that torchvision downloads, as its MD5 is {found} and not {known}")


def _file_order(pair: tuple[str, ListedImage]) -> NaturalKey:
    return natural_key(pair[0])
