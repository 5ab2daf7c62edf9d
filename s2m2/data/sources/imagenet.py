"""Class folders named as ILSVRC names its classes (`n01532829`), which mini-ImageNet and tieredImageNet are parts of."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from s2m2.data.dataset import SPLITS
from s2m2.data.sources.class_folders import split_folders
from s2m2.data.sources.listing import Listing, list_class_folders
from s2m2.data.sources.scanning import scan_classes
from s2m2.data.splitting import read_packaged_list
from s2m2.errors import InputError

CLASS_FOLDERS = (".", "images", "train", "ILSVRC/Data/CLS-LOC/train", "Data/CLS-LOC/train")
"""Where ILSVRC's class folders lie inside the folder that people name."""


def list_ilsvrc_classes(root: Path, dataset: str, layouts: str) -> Listing:
    """The images of the class folders that a dataset's list names, with its split; folders of other classes are left alone.

    Args:
        root: folder of the class folders, all in one place or under train, val and test.
        dataset: its name, and that of its packaged class list.
        layouts: what a folder may hold, for an error message.

    Raises:
        InputError: no class of the list is there, or there is no image in any.
    """
    lists = read_packaged_list(dataset)
    listed = [name for split in SPLITS for name in lists[split]]
    folders = find_class_folders(root, listed)
    if not folders:
        raise InputError(f"{root} is not laid out as {dataset}: it needs {layouts}")
    return replace(list_class_folders(folders, dataset, root), splits=lists, dataset=dataset)


def find_class_folders(root: Path, names: Sequence[str]) -> dict[str, Path]:
    """The folder of each class that is there: together in one of `CLASS_FOLDERS`, the one with most of them, or under the splits."""
    together = [{name: root / inside / name for name in names if (root / inside / name).is_dir()} for inside in CLASS_FOLDERS]
    best = max(together, key=len)
    wanted = set(names)
    if len(best) < len(names) and root.is_dir():
        apart = split_folders(root) or {}
        spread = {name: folder / name for folder in apart.values() for name in scan_classes(folder).folders if name in wanted}
        if len(spread) > len(best):
            return spread
    return best
