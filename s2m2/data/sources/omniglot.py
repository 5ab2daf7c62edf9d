"""Omniglot (Lake et al., Science 2015): `images_background` and `images_evaluation`, in each `<alphabet>/<character>/*.png`."""

from dataclasses import replace
from pathlib import Path

from s2m2.data.decode import ListedImage
from s2m2.data.sources.listing import Listing, list_class_folders, listing_of, scan_classes
from s2m2.data.splits import ROTATIONS, read_packaged_list, rotated_name
from s2m2.errors import InputError

SETS = ("images_background", "images_evaluation")
FOLDERS = (Path(), Path("omniglot"), Path("omniglot-py"), Path("python"))
"""Folders of the archives: torchvision's is `omniglot-py`, Lake's `python`."""


def find_root(folder: Path) -> Path | None:
    """The folder with the two sets: `folder` itself or one inside it."""
    for inside in FOLDERS:
        if all((folder / inside / part).is_dir() for part in SETS):
            return folder / inside
    return None


def list_images(folder: Path, *, rotated: bool = False) -> Listing:
    """The 1,623 characters as classes `<alphabet>/<character>`, with the split of Vinyals et al. (NeurIPS 2016).

    Args:
        folder: of the two sets, or the one that they were unpacked in.
        rotated: make four classes of each character, `<alphabet>/<character>/rot000` to `rot270`, its images rotated
            counter-clockwise by as many degrees (Santoro et al., ICML 2016); the four are always in one split.

    Raises:
        InputError: the folder has another layout, or an alphabet or the whole is empty.
    """
    root = find_root(folder)
    if root is None:
        raise InputError(f"{folder} is not laid out as Omniglot: it needs {' and '.join(SETS)}, with <alphabet>/<character>/*.png in each")
    folders: dict[str, Path] = {}
    above = []
    for part in SETS:
        above.append(scan_classes(root / part))
        for alphabet in above[-1].folders:
            characters = scan_classes(root / part / alphabet)
            above.append(characters)
            for character in characters.folders:
                name = f"{alphabet}/{character}"
                if name in folders:
                    raise InputError(f"character {name} is both in {SETS[0]} and in {SETS[1]} of {root}")
                folders[name] = root / part / alphabet / character
    listing = list_class_folders(folders, "omniglot", root, above=above)
    upright = replace(listing, splits=read_packaged_list("omniglot"), dataset="omniglot")
    return _rotated(upright) if rotated else upright


def _rotated(upright: Listing) -> Listing:
    classes: dict[str, list[ListedImage]] = {rotated_name(name, degrees): [] for name in upright.class_names for degrees in ROTATIONS}
    for image, label in zip(upright.images, upright.labels, strict=True):
        for rotations, degrees in enumerate(ROTATIONS):
            classes[rotated_name(upright.class_names[label], degrees)].append(replace(image, rot90=rotations))
    lists = upright.splits or {}
    splits = {split: [rotated_name(name, degrees) for name in lists[split] for degrees in ROTATIONS] for split in lists}
    listing = listing_of(classes, "omniglot", upright.root, splits=splits, left_out=upright.left_out, dataset="omniglot")
    return replace(listing, flaws=upright.flaws)
