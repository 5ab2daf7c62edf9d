"""mini-ImageNet (Vinyals et al. 2016, split of Ravi & Larochelle, ICLR 2017), in its usual layouts."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from s2m2.console import first_named
from s2m2.data.dataset import SPLITS, Split
from s2m2.data.decode import ImageFile, ListedImage
from s2m2.data.sources.class_folders import ILSVRC_FOLDERS, find_class_folders, list_ilsvrc_classes
from s2m2.data.sources.file_lists import ListEntry, read_list, split_files
from s2m2.data.sources.listing import FileFinder, Listing, listing_of, missing_flaws, natural_key, scan, with_untaken
from s2m2.data.sources.pickled import array_in, dict_in, image_in, text, whole_numbers
from s2m2.data.splits import read_packaged_list
from s2m2.errors import InputError

IMAGES_PER_CLASS = 600
CACHES: dict[Split, tuple[str, ...]] = {
    "base": ("mini-imagenet-cache-train.pkl",),
    "validation": ("mini-imagenet-cache-val.pkl", "mini-imagenet-cache-validation.pkl"),
    "novel": ("mini-imagenet-cache-test.pkl",),
}
"""Pickle caches; learn2learn's has the longer name."""
CSV_NAME = re.compile(r"(n\d{8})(\d{8})\.jpe?g", re.IGNORECASE)
"""File names of the csv: the class and the rank of the image in the sorted ILSVRC folder, from 1."""
LAYOUTS = (
    "mini-imagenet-cache-{train,val,test}.pkl; train.csv, val.csv and test.csv beside the 84x84 images or ILSVRC's class folders; "
    "or the 100 class folders, all together or under train, val and test"
)


def list_images(root: Path) -> Listing:
    """The images of mini-ImageNet with their canonical split.

    Raises:
        InputError: the folder has none of the layouts, or its files are incomplete, damaged or of another shape.
    """
    if not root.is_dir():
        raise InputError(f"no such folder {root}")
    if any(_caches(root).values()):
        listing = listing_of(_from_caches(root), "mini_imagenet", root)
    elif files := split_files(root):
        listing = _from_lists(root, files)
    else:
        listing = _from_class_folders(root)
    return replace(listing, splits=read_packaged_list("mini_imagenet"), dataset="mini_imagenet")


def is_root(root: Path) -> bool:
    """Whether a folder holds the pickle caches, or csv files that list classes of mini-ImageNet."""
    if any(_caches(root).values()):
        return True
    file = split_files(root).get("base")
    if file is None or file.suffix != ".csv":
        return False
    try:
        return {entry.label for entry in read_list(file)} == set(read_packaged_list("mini_imagenet")["base"])
    except InputError:  # Its reader will name the fault.
        return False


def _caches(root: Path) -> dict[Split, list[Path]]:
    return {split: [root / name for name in CACHES[split] if (root / name).is_file()] for split in SPLITS}


def _from_caches(root: Path) -> Mapping[str, Sequence[ListedImage]]:
    classes: dict[str, list[ListedImage]] = {}
    for split, paths in _caches(root).items():
        if len(paths) != 1:
            names = " and ".join(path.name for path in paths) if paths else "none"
            raise InputError(f"{root} must have one file {' or '.join(CACHES[split])} but has {names}")
        content = dict_in(paths[0])
        images = array_in(content, "image_data", paths[0])
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise InputError(f"{paths[0]}: image_data is {images.dtype} {images.shape}, not uint8 of images, height, width, 3")
        for name, indices in _class_indices(content, len(images), paths[0]).items():
            if name in classes:
                raise InputError(f"class {name} is in {paths[0].name} and in another cache of {root}")
            classes[name] = [image_in(paths[0], index, images[index]) for index in indices]
    return classes


def _class_indices(content: Mapping[str, object], count: int, path: Path) -> dict[str, list[int]]:
    listed = content.get("class_dict")
    if not isinstance(listed, dict):
        raise InputError(f"{path} has no dict class_dict of class names and rows")
    indices = {text(name): whole_numbers(value, f"{path}: class_dict of {text(name)}") for name, value in listed.items()}
    if sorted(index for numbers in indices.values() for index in numbers) != list(range(count)):
        total = sum(map(len, indices.values()))
        raise InputError(f"{path}: class_dict must name each of the {count:,} rows of image_data once, but has {total:,} numbers")
    return indices


def _from_class_folders(root: Path) -> Listing:
    listing = list_ilsvrc_classes(root, "mini_imagenet", LAYOUTS)
    listing = _joined(with_untaken(listing, root, listing.class_names))
    for label, count in Counter(listing.labels).items():
        if count > IMAGES_PER_CLASS:
            hint = "to choose from ILSVRC, put train.csv, val.csv and test.csv of Ravi & Larochelle beside the class folders"
            name = listing.class_names[label]
            raise InputError(f"class {name} has {count:,} images in {root}, mini-ImageNet {IMAGES_PER_CLASS}; {hint}")
    return listing


def _joined(listing: Listing) -> Listing:
    """The listing with the images of classes that have folders in several places, such as train and val, if those are parts of one whole.

    Raises:
        InputError: together they are more than the images of mini-ImageNet, but one place alone has too few.
    """
    elsewhere: dict[str, list[ListedImage]] = {name: [] for name in listing.class_names}
    for file in listing.left_out.get("untaken", ()):
        elsewhere.get(Path(file).parent.name, []).append(ImageFile(path=Path(file)))
    classes: dict[str, list[ListedImage]] = {name: [] for name in listing.class_names}
    for image, label in zip(listing.images, listing.labels, strict=True):
        classes[listing.class_names[label]].append(image)
    if not any(elsewhere.values()) or all(len(images) >= IMAGES_PER_CLASS for images in classes.values()):
        return listing
    for name, images in classes.items():
        if len(images) + len(elsewhere[name]) > IMAGES_PER_CLASS:
            where = f"{len(images):,} images in {Path(images[0].name).parent} and {len(elsewhere[name]):,} elsewhere"
            raise InputError(f"class {name} has {where}, more than mini-ImageNet's {IMAGES_PER_CLASS} together; leave one of the folders")
        images += elsewhere[name]
        images.sort(key=lambda image: natural_key(Path(image.name).name))
    return listing_of(classes, listing.name, listing.root, left_out={**listing.left_out, "untaken": ()}, flaws=listing.flaws)


def _from_lists(root: Path, files: Mapping[Split, Path]) -> Listing:
    missing = [split for split in SPLITS if split not in files]
    if missing:
        raise InputError(f"{root} lists no {' and no '.join(missing)} images: mini-ImageNet needs train.csv, val.csv and test.csv")
    folders = [root / inside for inside in (*ILSVRC_FOLDERS, *(file.stem for file in files.values()))]
    finder = FileFinder(list(dict.fromkeys(folders)))
    classes: dict[str, list[ListedImage]] = {}
    missing_names: list[str] = []
    for split, file in files.items():
        by_class: dict[str, list[ListEntry]] = {}
        for entry in read_list(file):
            by_class.setdefault(entry.label, []).append(entry)
        for name, entries in by_class.items():
            if name in classes:
                raise InputError(f"class {name} is listed in {file} ({split}) and in another of the lists")
            names = sorted((entry.file for entry in entries), key=natural_key)
            if twice := sorted({one for one, next_ in pairwise(names) if one == next_}):
                raise InputError(f"{file} names {len(twice):,} images more than once: {first_named(twice)}")
            paths = [finder.find(one) or finder.find(f"{name}/{one}") for one in names]
            if any(paths):
                missing_names += [one for one, path in zip(names, paths, strict=True) if path is None]
                classes[name] = [ImageFile(path=path) for path in paths if path is not None]
            elif (folder := find_class_folders(root, [name]).get(name)) is not None:
                classes[name] = [ImageFile(path=path) for path in _by_rank(folder, names, file)]
            else:
                missing_names += names
                classes[name] = []
    listing = listing_of(classes, "mini_imagenet", root, flaws=missing_flaws(missing_names, f"the lists in {root} name"))
    return replace(listing, is_selection=True)


def _by_rank(folder: Path, names: Sequence[str], file: Path) -> list[Path]:
    """Images of ILSVRC, sorted by the number in their names (`n01532829_5.JPEG` comes before `n01532829_10.JPEG`)."""
    images = scan(folder).images
    paths = []
    for name in names:
        matched = CSV_NAME.fullmatch(name)
        if matched is None or matched[1] != folder.name:
            raise InputError(f"{file} names {name}, which is not in {folder} and is not the class and a number of 8 digits")
        rank = int(matched[2])
        if not 1 <= rank <= len(images):
            raise InputError(f"{file} asks for image {rank:,} of class {folder.name}, but {folder} has {len(images):,} images")
        paths.append(folder / images[rank - 1])
    return paths
