"""Folders of class folders: `<root>/<class>/<image>`, or `<root>/{train,val,test}/<class>/<image>`, which brings its own splits."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from s2m2.data.dataset import SPLITS, Split
from s2m2.data.sources.listing import Listing, list_class_folders
from s2m2.data.sources.scanning import scan, scan_classes
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
"""What people call the splits, in names of folders and files."""


def list_images(root: Path) -> Listing:
    """The images of all class folders in `root`; the folder gives its name to the dataset.

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
    """The folders of the splits where `root` has nothing but such folders, two at least, and each holds folders and no image.

    Raises:
        InputError: there is no folder `root`, or no folder in it.
    """
    names = scan_classes(root).folders
    splits = [SPLIT_NAMES.get(name.lower()) for name in names]
    if len(names) < 2 or len(set(splits)) < len(splits):
        return None
    found: dict[Split, Path] = {}
    for name, split in zip(names, splits, strict=True):
        folder = root / name
        if split is None:
            return None
        content = scan(folder)
        if content.images or not content.folders:
            return None
        found[split] = folder
    return found
