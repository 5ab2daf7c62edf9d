"""Folders of class folders: `<root>/<class>/<image>`, or `<root>/{train,val,test}/<class>/<image>`, which brings its own splits.

Also those of ILSVRC, named as it names its classes (`n01532829`), of which mini-ImageNet and tieredImageNet are parts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from s2m2.data.dataset import SPLITS, Split
from s2m2.data.sources.listing import Listing, list_class_folders, scan, scan_classes
from s2m2.data.splits import read_packaged_list
from s2m2.errors import InputError

SPLIT_NAMES: dict[str, Split] = {
    "train": "base",
    "base": "base",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "novel",
    "novel": "novel",
}
"""Usual names of the splits in names of folders and files."""
ILSVRC_FOLDERS = (".", "images", "train", "ILSVRC/Data/CLS-LOC/train", "Data/CLS-LOC/train")
"""Usual places of the class folders of ILSVRC inside a source."""


def list_images(root: Path) -> Listing:
    """The images of all class folders in `root`, whose name is that of the dataset.

    Raises:
        InputError: there is no such folder, it has no class folders, there is no image in them, or a class is in two splits.
    """
    name, content = root.resolve().name, scan_classes(root)
    folders = split_folders(root)
    if folders is None:
        return list_class_folders({class_name: root / class_name for class_name in content.folders}, name, root, above=[content])
    above = [content, *(scan_classes(folder) for folder in folders.values())]
    classes: dict[str, Path] = {}
    splits: dict[Split, tuple[str, ...]] = dict.fromkeys(SPLITS, ())
    for split, folder in folders.items():
        splits[split] = scan_classes(folder).folders
        for class_name in splits[split]:
            if class_name in classes:
                hint = "few-shot splits share no class; put the class folders into one folder, or name it once"
                raise InputError(f"class {class_name} is both in {classes[class_name].parent} and in {folder}: {hint}")
            classes[class_name] = folder / class_name
    return replace(list_class_folders(classes, name, root, above=above), splits=splits)


def split_folders(root: Path) -> Mapping[Split, Path] | None:
    """The folders of the splits if `root` has no other folders, two at least, and each has folders and no image; else None.

    Raises:
        InputError: there is no folder `root`, or no folder in it.
    """
    names = scan_classes(root).folders
    splits = [SPLIT_NAMES.get(name.lower()) for name in names]
    if len(names) < 2 or len(set(splits)) < len(splits):
        return None
    folders: dict[Split, Path] = {}
    for name, split in zip(names, splits, strict=True):
        folder = root / name
        if split is None:
            return None
        content = scan(folder)
        if content.images or not content.folders:
            return None
        folders[split] = folder
    return folders


def list_ilsvrc_classes(root: Path, dataset: str, layouts: str) -> Listing:
    """The images of the class folders in a dataset's list, with its split; other folders are ignored.

    Args:
        root: folder of the class folders, all in one place or under train, val and test.
        dataset: its name and that of its packaged class list.
        layouts: accepted layouts of a folder, for an error message.

    Raises:
        InputError: no class of the list is there, or there is no image in any.
    """
    lists = read_packaged_list(dataset)
    folders = find_class_folders(root, [name for split in SPLITS for name in lists[split]])
    if not folders:
        raise InputError(f"{root} is not laid out as {dataset}: it needs {layouts}")
    return replace(list_class_folders(folders, dataset, root), splits=lists, dataset=dataset)


def find_class_folders(root: Path, names: Sequence[str]) -> dict[str, Path]:
    """The existing folders of these classes: in the one of `ILSVRC_FOLDERS` with most of them, or under the splits."""
    together = [{name: root / inside / name for name in names if (root / inside / name).is_dir()} for inside in ILSVRC_FOLDERS]
    largest = max(together, key=len)
    if len(largest) < len(names) and root.is_dir():
        wanted, folders = set(names), (split_folders(root) or {}).values()
        apart = {name: folder / name for folder in folders for name in scan_classes(folder).folders if name in wanted}
        if len(apart) > len(largest):
            return apart
    return largest
