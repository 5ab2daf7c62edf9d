"""FC100 as learn2learn downloads it: `FC100_{train,val,test}.pickle`, each a dict of `data` (uint8) and `labels`."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from s2m2.data.dataset import SPLITS, Split
from s2m2.data.image import ListedImage
from s2m2.data.sources.listing import Listing, listing_of
from s2m2.data.sources.pickled import array_in, dict_in, image_in, list_in
from s2m2.data.splitting import read_packaged_list
from s2m2.errors import InputError

FILES: dict[Split, str] = {"base": "FC100_train.pickle", "validation": "FC100_val.pickle", "novel": "FC100_test.pickle"}


def is_root(folder: Path) -> bool:
    """Whether the folder holds at least one of the files."""
    return any((folder / file).is_file() for file in FILES.values())


def list_images(folder: Path) -> Listing:
    """The images of FC100, classes named as CIFAR-100 names them.

    Raises:
        InputError: a file is missing, damaged or of another shape.
    """
    batch: dict[Split, dict[int, list[ListedImage]]] = {}
    for split in SPLITS:
        path = folder / FILES[split]
        content = dict_in(path)
        images, labels = array_in(content, "data", path), list_in(content, "labels", path)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3 or len(images) != len(labels):
            raise InputError(f"{path} must hold as many labels as data, which are uint8 images of height, width and 3 colors")
        batch[split] = {label: [] for label in sorted(set(labels))}
        for row, label in enumerate(labels):
            batch[split][label].append(image_in(path, row, images[row]))
    names = _names(batch)
    classes = {names[split][label]: found for split in SPLITS for label, found in batch[split].items()}
    splits = {split: tuple(names[split].values()) for split in SPLITS}
    return listing_of(classes, "fc100", folder, splits=splits, dataset="fc100")


def _names(images: Mapping[Split, Mapping[int, object]]) -> dict[Split, dict[int, str]]:
    """Names of the labels. They are CIFAR-100's numbers, its classes in alphabetical order, if they divide as FC100 does."""
    lists = read_packaged_list("fc100")
    all_names = sorted(name for split in SPLITS for name in lists[split])
    numbered = {split: {number: name for number, name in enumerate(all_names) if name in lists[split]} for split in SPLITS}
    if all(set(images[split]) == set(numbered[split]) for split in SPLITS):
        return numbered
    return {split: {label: f"{split}/{label}" for label in images[split]} for split in SPLITS}
