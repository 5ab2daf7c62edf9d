"""`list_source`: the reader of a dataset's files, chosen by name or by what lies in the folder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from s2m2.data.sources import cifar100, cifar_fs, class_folders, cub, fc100, file_lists, mini_imagenet, omniglot, tiered_imagenet
from s2m2.data.sources.listing import Listing
from s2m2.data.sources.scanning import scan
from s2m2.data.splitting import read_packaged_list
from s2m2.errors import InputError


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
    """The images of a source, none of them opened; what it lacks is stated as flaws.

    Args:
        source: a folder, or a csv or JSON list of images.
        dataset: one of `READERS`; `own` is for own images: class folders, also under train, val and test, or lists of images;
            `auto` recognizes each dataset by its telling files, and takes what it does not recognize for own images.
        box: of CUB only what each bounding box encloses.
        rotated: of Omniglot each character as four classes, turned by quarters.

    Raises:
        InputError: the source cannot be read, has another layout than `dataset`, or has no use for `box` or `rotated`.
    """
    if dataset not in ("auto", *READERS):
        raise InputError(f"no dataset {dataset} to read; choose one of auto, {', '.join(READERS)}")
    if not source.exists():
        raise InputError(f"no such file or folder {source}" if source.suffix else f"no such folder {source}")
    if source.is_file() and dataset not in ("auto", "own"):
        raise InputError(f"--source {source} is a file, but {dataset} needs a folder")
    name = recognize(source) if dataset == "auto" else dataset
    for flag, asked, only in (("box", box, "cub"), ("rotated", rotated, "omniglot")):
        if asked and name != only:
            raise InputError(f"--{flag} is for {only} only, but {source} is read as {name}")
    return READERS[name](source, box or rotated)


def recognize(source: Path) -> str:
    """The dataset that lies in a folder, `own` where it is none that is known."""
    if not source.is_dir():
        return "own"
    for name, telling in TELLING.items():
        if telling(source):
            return name
    names = set(scan(source).folders)
    for name in ("mini_imagenet", "tiered_imagenet"):
        if names == {class_name for listed in read_packaged_list(name).values() for class_name in listed}:
            return name
    return "own"


def _list_own(source: Path) -> Listing:
    if not source.is_dir():
        return file_lists.list_images(source)
    return file_lists.list_split_files(source) or class_folders.list_images(source)


def _list_cifar_fs(source: Path) -> Listing:
    return _list_cifar(source, "cifar_fs")


def _list_fc100(source: Path) -> Listing:
    return fc100.list_images(source) if fc100.is_root(source) else _list_cifar(source, "fc100")


def _list_cifar(source: Path, name: str) -> Listing:
    """CIFAR-100 from either of its layouts; only Bertinetto's brings the splits of CIFAR-FS itself."""
    if cifar100.find_root(source) is not None:
        listing = cifar100.list_images(source)
    elif cifar_fs.find_root(source) is not None:
        listing = cifar_fs.list_images(source)
        if name == "cifar_fs":
            return listing
    else:
        layouts = "data/<class>/*.png with splits/bertinetto, as in Bertinetto's archive, or torchvision's cifar-100-python/"
        raise InputError(f"{source} is not laid out as {name}: it needs {layouts}")
    return replace(listing, name=name, dataset=name, splits=read_packaged_list(name))


READERS: dict[str, Callable[[Path, bool], Listing]] = {
    "own": lambda source, _: _list_own(source),
    "cifar_fs": lambda source, _: _list_cifar_fs(source),
    "fc100": lambda source, _: _list_fc100(source),
    "cub": lambda source, box: cub.list_images(source, box=box),
    "mini_imagenet": lambda source, _: mini_imagenet.list_images(source),
    "tiered_imagenet": lambda source, _: tiered_imagenet.list_images(source),
    "omniglot": lambda source, rotated: omniglot.list_images(source, rotated=rotated),
}
"""Reader of each dataset; its second argument is whether the one option that the dataset has is asked for."""
TELLING: dict[str, Callable[[Path], bool]] = {
    "cub": lambda source: cub.find_root(source) is not None,
    "omniglot": lambda source: omniglot.find_root(source) is not None,
    "mini_imagenet": mini_imagenet.is_root,
    "tiered_imagenet": lambda source: tiered_imagenet.find_root(source) is not None,
    "fc100": fc100.is_root,
    "cifar_fs": lambda source: cifar_fs.find_root(source) is not None or cifar100.find_root(source) is not None,
}
"""What tells each dataset; CIFAR-100 is taken for CIFAR-FS unless `dataset` says fc100."""
