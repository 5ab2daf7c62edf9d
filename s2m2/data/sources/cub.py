"""CUB-200-2011 (Wah et al. 2011) as distributed: `images.txt`, `classes.txt`, `bounding_boxes.txt` and `images/<class>/*.jpg`."""

import math
from pathlib import Path

from s2m2.data.decode import Box, ImageFile, ListedImage
from s2m2.data.sources.listing import FileFinder, Listing, listing_of, natural_key
from s2m2.data.splits import read_packaged_list
from s2m2.errors import InputError
from s2m2.io import check_regular

FOLDERS = (Path(), Path("CUB_200_2011"), Path("cubirds200", "CUB_200_2011"))
"""Folders of the archive; the last is learn2learn's."""


def find_root(folder: Path) -> Path | None:
    """The folder with `images.txt`, `classes.txt` and `images`: `folder` itself or one inside it."""
    for root in (folder / inside for inside in FOLDERS):
        if (root / "images.txt").is_file() and (root / "classes.txt").is_file() and (root / "images").is_dir():
            return root
    return None


def list_images(folder: Path, *, box: bool = False) -> Listing:
    """The images that `images.txt` lists, with the split of Chen et al. (ICLR 2019), which S2M2 uses.

    Args:
        folder: of the archive's content, or the one that it was unpacked in.
        box: keep only the part of each image inside its bounding box.

    Raises:
        InputError: the folder has another layout, a line of its files cannot be used, or there is no image.
    """
    root = find_root(folder)
    if root is None:
        hint = "its class folders alone are read by --dataset own --splits cub"
        raise InputError(f"{folder} is not laid out as CUB-200-2011: it needs images.txt, classes.txt and images/<class>/*.jpg; {hint}")
    boxes = _boxes(root / "bounding_boxes.txt") if box else None
    classes: dict[str, list[ListedImage]] = {name: [] for name in _numbered(root / "classes.txt").values()}
    files = _numbered(root / "images.txt")
    paths, flaws = FileFinder((root / "images",)).find_all(files.values(), str(root / "images.txt"))
    for number, file in sorted(files.items(), key=lambda item: natural_key(item[1])):
        class_name = file.split("/")[0]
        if class_name not in classes:
            raise InputError(f"{root / 'images.txt'} names {file}, but {root / 'classes.txt'} has no class {class_name}")
        if boxes is not None and number not in boxes:
            raise InputError(f"{root / 'bounding_boxes.txt'} has no box for {file}")
        if file in paths:
            classes[class_name].append(ImageFile(path=paths[file], box=None if boxes is None else boxes[number]))
    return listing_of(classes, "cub", root, splits=read_packaged_list("cub"), flaws=flaws, dataset="cub")


def _boxes(path: Path) -> dict[str, Box]:
    """Boxes from lines of number, left, top, width and height, widened to whole pixels."""
    boxes: dict[str, Box] = {}
    for number, content in _numbered(path).items():
        try:
            left, upper, width, height = map(float, content.split())
            box = math.floor(left), math.floor(upper), math.ceil(left + width), math.ceil(upper + height)
        except (ValueError, OverflowError) as error:
            raise InputError(f"{path}: image {number} has no box of four numbers but {content}") from error
        if box[0] < 0 or box[1] < 0 or width <= 0 or height <= 0:
            raise InputError(f"{path}: the box of image {number} is empty or begins outside the image: {content}")
        boxes[number] = box
    return boxes


def _numbered(path: Path) -> dict[str, str]:
    """Lines without the number at their start, by this number."""
    check_regular(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    numbered: dict[str, str] = {}
    for line_number, line in enumerate(lines, 1):
        number, _, content = line.strip().partition(" ")
        if not line.strip():
            continue
        if not content or number in numbered:
            raise InputError(f"{path}, line {line_number}: {line.strip()} is no new number with something behind it")
        numbered[number] = content.strip()
    return numbered
