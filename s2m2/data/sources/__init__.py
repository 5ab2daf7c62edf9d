"""Readers of images on disk, one layout each, chosen by name or by the files in the folder. Each returns a `Listing` and opens no image."""

from collections.abc import Callable
from pathlib import Path

from s2m2.data.sources import cifar, class_folders, cub, file_lists, mini_imagenet, omniglot, tiered_imagenet
from s2m2.data.sources.cifar import download_cifar100
from s2m2.data.sources.listing import Listing, scan, with_untaken
from s2m2.data.sources.unpickling import read_pickle
from s2m2.data.splits import read_packaged_list
from s2m2.errors import InputError
from s2m2.io import check_regular

__all__ = ["READERS", "Listing", "download_cifar100", "list_source", "read_pickle", "survey_source"]


def list_source(source: Path, dataset: str = "auto", *, box: bool = False, rotated: bool = False) -> Listing:
    """The images of a source without flaws; arguments as for `survey_source`.

    Raises:
        InputError: as `survey_source`, or the source has a flaw, which is named.
    """
    listing = survey_source(source, dataset, box=box, rotated=rotated)
    if listing.flaws:
        raise InputError(listing.flaws[0].message)
    return listing


def survey_source(source: Path, dataset: str = "auto", *, box: bool = False, rotated: bool = False) -> Listing:
    """The images of a source, none of them opened, and its flaws.

    Args:
        source: a folder, or a csv or JSON list of images.
        dataset: one of `READERS`; `own` is for own images: class folders, also under train, val and test, or lists of images;
            `auto` recognizes each dataset by its typical files, and takes anything else for own images.
        box: of CUB only the part inside each bounding box.
        rotated: of Omniglot each character as four classes, one per rotation.

    Raises:
        InputError: the source cannot be read, has another layout than `dataset`, or has no use for `box` or `rotated`.
    """
    if dataset not in ("auto", *READERS):
        raise InputError(f"no dataset {dataset} to read; choose one of auto, {', '.join(READERS)}")
    check_regular(source)
    if not source.exists():
        raise InputError(f"no such file or folder {source}" if source.suffix else f"no such folder {source}")
    if source.is_file() and dataset not in ("auto", "own"):
        raise InputError(f"--source {source} is a file, but {dataset} needs a folder")
    name = recognize(source) if dataset == "auto" else dataset
    for flag, value, only in (("box", box, "cub"), ("rotated", rotated, "omniglot")):
        if value and name != only:
            raise InputError(f"--{flag} is for {only} only, but {source} is read as {name}")
    listing = READERS[name](source, box or rotated)
    # Of ILSVRC, which has a thousand classes, mini- and tieredImageNet are parts.
    return with_untaken(listing, source, listing.class_names if name in ("mini_imagenet", "tiered_imagenet") else None)


def recognize(source: Path) -> str:
    """The dataset in a folder, `own` if it is no standard one."""
    if not source.is_dir():
        return "own"
    for name, is_layout in LAYOUTS.items():
        if is_layout(source):
            return name
    folders = set(scan(source).folders)
    for name in ("mini_imagenet", "tiered_imagenet"):
        if folders == {class_name for class_names in read_packaged_list(name).values() for class_name in class_names}:
            return name
    return "own"


def _list_own(source: Path) -> Listing:
    if not source.is_dir():
        return file_lists.list_images(source)
    return file_lists.list_split_files(source) or class_folders.list_images(source)


READERS: dict[str, Callable[[Path, bool], Listing]] = {
    "own": lambda source, _: _list_own(source),
    "cifar_fs": lambda source, _: cifar.list_cifar_fs(source),
    "fc100": lambda source, _: cifar.list_fc100(source),
    "cub": lambda source, box: cub.list_images(source, box=box),
    "mini_imagenet": lambda source, _: mini_imagenet.list_images(source),
    "tiered_imagenet": lambda source, _: tiered_imagenet.list_images(source),
    "omniglot": lambda source, rotated: omniglot.list_images(source, rotated=rotated),
}
"""Reader of each dataset; the second argument is the one option that a dataset has, if any."""
LAYOUTS: dict[str, Callable[[Path], bool]] = {
    "cub": lambda source: cub.find_root(source) is not None,
    "omniglot": lambda source: omniglot.find_root(source) is not None,
    "mini_imagenet": mini_imagenet.is_root,
    "tiered_imagenet": lambda source: tiered_imagenet.find_root(source) is not None,
    "fc100": cifar.has_fc100_pickles,
    "cifar_fs": lambda source: cifar.find_bertinetto(source) is not None or cifar.find_cifar100(source) is not None,
}
"""Whether a folder has the typical files of each dataset; CIFAR-100 is taken for CIFAR-FS unless `dataset` says fc100."""
