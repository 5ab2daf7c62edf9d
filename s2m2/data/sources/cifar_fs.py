"""CIFAR-FS as Bertinetto et al. (ICLR 2019) distribute it: `data/<class>/*.png` and `splits/bertinetto/{train,val,test}.txt`."""

from dataclasses import replace
from pathlib import Path

from s2m2.data.sources.listing import Listing, list_class_folders
from s2m2.data.sources.scanning import scan_classes
from s2m2.data.splitting import read_split_folder
from s2m2.errors import InputError

INSIZE = (Path(), Path("cifar100"), Path("cifarfs", "cifar100"))
"""Where the archive unpacks to; the last is learn2learn's."""
SPLITS_FOLDER = Path("splits", "bertinetto")


def find_root(folder: Path) -> Path | None:
    """The folder with `data` and `splits/bertinetto` in it: `folder` itself or one inside it."""
    for inside in INSIZE:
        root = folder / inside
        if (root / "data").is_dir() and (root / SPLITS_FOLDER).is_dir():
            return root
    return None


def list_images(folder: Path) -> Listing:
    """The images of CIFAR-FS, with the splits that the archive brings.

    Raises:
        InputError: the folder has another layout, or no image.
    """
    root = find_root(folder)
    if root is None:
        raise InputError(f"{folder} is not laid out as CIFAR-FS: it needs data/<class>/*.png and splits/bertinetto/{{train,val,test}}.txt")
    data = root / "data"
    content = scan_classes(data)
    listing = list_class_folders({name: data / name for name in content.folders}, "cifar_fs", root, above=[content])
    return replace(listing, splits=read_split_folder(root / SPLITS_FOLDER), dataset="cifar_fs")
