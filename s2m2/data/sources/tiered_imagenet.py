"""tieredImageNet (Ren et al., ICLR 2018): class folders of ILSVRC, or the pickles that its authors and learn2learn distribute."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from s2m2.data.dataset import Split
from s2m2.data.decode import ListedImage
from s2m2.data.sources.class_folders import list_ilsvrc_classes
from s2m2.data.sources.listing import Listing, listing_of
from s2m2.data.sources.pickled import dict_in, image_in, list_in, texts_in
from s2m2.data.sources.unpickling import read_pickle
from s2m2.data.splits import read_packaged_list
from s2m2.errors import InputError

STEMS: dict[Split, str] = {"base": "train", "validation": "val", "novel": "test"}
FOLDERS = (Path(), Path("tiered-imagenet"))
LAYOUTS = (
    "{train,val,test}_images_png.pkl with {train,val,test}_labels.pkl, or ILSVRC's class folders, all together or under train, val and test"
)


def list_images(folder: Path) -> Listing:
    """The images of tieredImageNet with their canonical split.

    `class_names.txt` and `synsets.txt` beside the pickles tell ILSVRC's names of the classes; without them, classes keep their names in
    the pickles. The splits are those of the pickles.

    Raises:
        InputError: the folder has none of the layouts, or its files are incomplete, damaged or of another shape.
    """
    root = find_root(folder)
    if root is not None:
        return _from_pickles(root)
    return list_ilsvrc_classes(folder, "tiered_imagenet", LAYOUTS)


def find_root(folder: Path) -> Path | None:
    """The folder with the pickles of one split at least: `folder` itself or the `tiered-imagenet` in it."""
    for inside in FOLDERS:
        if any((folder / inside / f"{stem}_images_png.pkl").is_file() for stem in STEMS.values()):
            return folder / inside
    return None


def _from_pickles(root: Path) -> Listing:
    classes: dict[str, Sequence[ListedImage]] = {}
    splits: dict[Split, tuple[str, ...]] = {}
    for split, stem in STEMS.items():
        by_label = _images(root / f"{stem}_images_png.pkl", root / f"{stem}_labels.pkl")
        names = _names(root, split, root / f"{stem}_labels.pkl", sorted(by_label))
        if both := sorted(set(names.values()) & set(classes)):
            raise InputError(f"class {both[0]} is in {stem}_labels.pkl and in another split of {root}")
        classes |= {names[label]: images for label, images in by_label.items()}
        splits[split] = tuple(names.values())
    return listing_of(classes, "tiered_imagenet", root, splits=splits, dataset="tiered_imagenet")


def _images(images: Path, labels: Path) -> dict[int, list[ListedImage]]:
    content = read_pickle(images)
    if not isinstance(content, list) or not all(_is_encoded(item) for item in content):
        raise InputError(f"{images} holds no list of images as PNG bytes")
    numbers = list_in(dict_in(labels), "label_specific", labels)
    if len(numbers) != len(content):
        raise InputError(f"{images} holds {len(content):,} images, but {labels} {len(numbers):,} labels")
    by_label: dict[int, list[ListedImage]] = {}
    for index, (item, label) in enumerate(zip(content, numbers, strict=True)):
        # OpenCV makes a column of the bytes; flat, it still is a view of the same memory.
        encoded = item.reshape(-1) if isinstance(item, np.ndarray) else item
        by_label.setdefault(label, []).append(image_in(images, index, encoded))
    return by_label


def _is_encoded(item: object) -> bool:
    if isinstance(item, np.ndarray):
        return item.dtype == np.uint8 and item.ndim > 0 and item.size == item.shape[0]
    return isinstance(item, bytes)


def _names(root: Path, split: Split, path: Path, labels: Sequence[int]) -> dict[int, str]:
    """Class name of each label: ILSVRC's if it can be told for all of them, else that of the pickle."""
    content = dict_in(path)
    if "label_specific_str" not in content:
        return {label: f"{split}/{label}" for label in labels}
    texts = texts_in(content, "label_specific_str", path)
    if labels and not 0 <= labels[0] <= labels[-1] < len(texts):
        raise InputError(f"{path} has labels outside 0 to {len(texts) - 1}, the classes that label_specific_str names")
    listed = set(read_packaged_list("tiered_imagenet")[split])
    identifiers = _identifiers(root)
    exact = {label: [name for name in identifiers.get(texts[label], [texts[label]]) if name in listed] for label in labels}
    if all(len(names) == 1 for names in exact.values()) and len({names[0] for names in exact.values()}) == len(labels):
        return {label: names[0] for label, names in exact.items()}
    return {label: texts[label] if texts.count(texts[label]) == 1 else f"{texts[label]} ({label})" for label in labels}


def _identifiers(root: Path) -> Mapping[str, Sequence[str]]:
    """ILSVRC's identifiers of each class name; two classes are called crane."""
    try:
        names, identifiers = ((root / file).read_text(encoding="utf-8").splitlines() for file in ("class_names.txt", "synsets.txt"))
    except (OSError, ValueError):
        return {}
    by_name: dict[str, list[str]] = {}
    for name, identifier in zip(names, identifiers, strict=False):
        by_name.setdefault(name.strip(), []).append(identifier.strip())
    return by_name
