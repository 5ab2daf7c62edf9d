"""CIFAR-FS (Bertinetto et al., ICLR 2019) and FC100 (Oreshkin et al., NeurIPS 2018), two splits of CIFAR-100, in three layouts.

* Bertinetto's archive: `data/<class>/*.png` and `splits/bertinetto/{train,val,test}.txt`.
* torchvision's CIFAR-100: `cifar-100-python` with the pickles `train` (500 images per class), `test` (100) and `meta`.
* learn2learn's FC100: `FC100_{train,val,test}.pickle`, each a dict of `data` (uint8) and `labels`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from s2m2.data.dataset import SPLITS, Split
from s2m2.data.decode import ListedImage, StoredImage
from s2m2.data.sources.listing import Listing, list_class_folders, listing_of, natural_key, scan_classes
from s2m2.data.sources.pickled import array_in, dict_in, image_in, list_in, texts_in
from s2m2.data.splits import read_packaged_list, read_split_folder
from s2m2.errors import InputError

BERTINETTO_FOLDERS = (Path(), Path("cifar100"), Path("cifarfs", "cifar100"))
"""Folders of Bertinetto's archive; the last is learn2learn's."""
BERTINETTO_SPLITS = Path("splits", "bertinetto")
CIFAR100_FOLDER = "cifar-100-python"
CIFAR100_IMAGES = {"train": 50_000, "test": 10_000}
"""Images in each file of the whole of CIFAR-100."""
FC100_FILES: dict[Split, str] = {"base": "FC100_train.pickle", "validation": "FC100_val.pickle", "novel": "FC100_test.pickle"}


def list_cifar_fs(folder: Path) -> Listing:
    """The images of CIFAR-FS; Bertinetto's archive brings the splits itself.

    Raises:
        InputError: the folder has another layout, or a file is damaged, of another shape or not torchvision's.
    """
    root = _bertinetto_only(folder)
    return _list_bertinetto(root) if root else _with_packaged_splits(_list_cifar100(folder, "cifar_fs"), "cifar_fs")


def list_fc100(folder: Path) -> Listing:
    """The images of FC100.

    Raises:
        InputError: as `list_cifar_fs`.
    """
    if has_fc100_pickles(folder):
        return _list_fc100_pickles(folder)
    root = _bertinetto_only(folder)
    return _with_packaged_splits(_list_bertinetto(root) if root else _list_cifar100(folder, "fc100"), "fc100")


def find_bertinetto(folder: Path) -> Path | None:
    """The folder with `data` and `splits/bertinetto`: `folder` itself or one inside it."""
    roots = (folder / inside for inside in BERTINETTO_FOLDERS)
    return next((root for root in roots if (root / "data").is_dir() and (root / BERTINETTO_SPLITS).is_dir()), None)


def find_cifar100(folder: Path) -> Path | None:
    """The folder with torchvision's pickles: `folder` itself or the `cifar-100-python` in it."""
    return next(
        (root for root in (folder, folder / CIFAR100_FOLDER) if all((root / file).is_file() for file in ("train", "test", "meta"))), None
    )


def has_fc100_pickles(folder: Path) -> bool:
    """Whether a folder has at least one of the pickles of FC100."""
    return any((folder / file).is_file() for file in FC100_FILES.values())


def download_cifar100(root: Path) -> Path:
    """Have torchvision download CIFAR-100 into `root`, unless it is there, and check it. Returns the folder of its files.

    torchvision's dataset class is not constructed, as it would unpickle the files.

    Raises:
        InputError: the download fails, or the files there are damaged.
    """
    from torchvision.datasets import CIFAR100
    from torchvision.datasets.utils import check_integrity, download_and_extract_archive

    try:
        if not all(check_integrity(str(root / CIFAR100_FOLDER / file), md5) for file, md5 in _torchvision_md5().items()):
            download_and_extract_archive(CIFAR100.url, str(root), filename=CIFAR100.filename, md5=CIFAR100.tgz_md5)
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(f"torchvision cannot download CIFAR-100 to {root}: {' '.join(str(error).split())}") from error
    for file in _torchvision_md5():
        _check_md5(root / CIFAR100_FOLDER / file)
    return root / CIFAR100_FOLDER


def _bertinetto_only(folder: Path) -> Path | None:
    return find_bertinetto(folder) if find_cifar100(folder) is None else None


def _list_bertinetto(root: Path) -> Listing:
    data = root / "data"
    content = scan_classes(data)
    listing = list_class_folders({name: data / name for name in content.folders}, "cifar_fs", root, above=[content])
    return replace(listing, splits=read_split_folder(root / BERTINETTO_SPLITS), dataset="cifar_fs")


def _list_cifar100(folder: Path, dataset: str) -> Listing:
    """The images by their fine classes, each class in natural order of the images' original file names."""
    root = find_cifar100(folder)
    if root is None:
        layouts = "data/<class>/*.png with splits/bertinetto, as in Bertinetto's archive, or torchvision's cifar-100-python/"
        raise InputError(f"{folder} is not laid out as {dataset}: it needs {layouts}")
    names = texts_in(dict_in(root / "meta"), "fine_label_names", root / "meta")
    by_class: dict[str, list[tuple[str, ListedImage]]] = {name: [] for name in names}
    for file, complete in CIFAR100_IMAGES.items():
        path = root / file
        content = dict_in(path)
        data = array_in(content, "data", path)
        labels = list_in(content, "fine_labels", path)
        files = texts_in(content, "filenames", path)
        if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3 * 32 * 32 or not len(data) == len(labels) == len(files):
            raise InputError(f"{path} must hold as many rows of 3,072 bytes as fine_labels and filenames")
        if not all(0 <= label < len(names) for label in labels):
            raise InputError(f"{path} has fine_labels outside 0 to {len(names) - 1}, the classes that meta names")
        if len(data) == complete:
            _check_md5(path)
        images = data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        for index, (label, name) in enumerate(zip(labels, files, strict=True)):
            by_class[names[label]].append((name, StoredImage(archive=path, index=index, content=images[index])))
    # Sorted as the folders of Bertinetto's archive, so that the same images become the same dataset.
    classes = {name: [image for _, image in sorted(pairs, key=lambda pair: natural_key(pair[0]))] for name, pairs in by_class.items()}
    return listing_of(classes, "cifar100", root)


def _with_packaged_splits(listing: Listing, dataset: str) -> Listing:
    return replace(listing, name=dataset, dataset=dataset, splits=read_packaged_list(dataset))


def _list_fc100_pickles(folder: Path) -> Listing:
    by_label: dict[Split, dict[int, list[ListedImage]]] = {}
    for split in SPLITS:
        path = folder / FC100_FILES[split]
        content = dict_in(path)
        images, labels = array_in(content, "data", path), list_in(content, "labels", path)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3 or len(images) != len(labels):
            raise InputError(f"{path} must hold as many labels as data, which are uint8 images of height, width and 3 colors")
        by_label[split] = {label: [] for label in sorted(set(labels))}
        for index, label in enumerate(labels):
            by_label[split][label].append(image_in(path, index, images[index]))
    names = _fc100_names(by_label)
    classes = {names[split][label]: images for split in SPLITS for label, images in by_label[split].items()}
    splits = {split: tuple(names[split].values()) for split in SPLITS}
    return listing_of(classes, "fc100", folder, splits=splits, dataset="fc100")


def _fc100_names(by_label: Mapping[Split, Mapping[int, object]]) -> dict[Split, dict[int, str]]:
    """Names of the labels: CIFAR-100's classes in alphabetical order, if the labels of the splits are theirs in FC100."""
    lists = read_packaged_list("fc100")
    all_names = sorted(name for split in SPLITS for name in lists[split])
    numbered = {split: {number: name for number, name in enumerate(all_names) if name in lists[split]} for split in SPLITS}
    if all(set(by_label[split]) == set(numbered[split]) for split in SPLITS):
        return numbered
    return {split: {label: f"{split}/{label}" for label in by_label[split]} for split in SPLITS}


def _torchvision_md5() -> dict[str, str]:
    from torchvision.datasets import CIFAR100  # takes a second, and only a check needs it

    return dict(CIFAR100.train_list + CIFAR100.test_list)


def _check_md5(path: Path) -> None:
    expected = _torchvision_md5()[path.name]
    try:
        with path.open("rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if md5 != expected:
        raise InputError(f"{path} is not the file that torchvision downloads, as its MD5 is {md5} and not {expected}")
