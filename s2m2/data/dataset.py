"""`ImageDataset`: all images of a dataset as one memory map, with labels, class names, splits and a digest."""

import hashlib
import json
import mmap
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Int64, UInt8

from s2m2.errors import InputError

if TYPE_CHECKING:
    import torch

Split = Literal["base", "validation", "novel"]
SPLITS: tuple[Split, ...] = ("base", "validation", "novel")
DATASET_FORMAT = 1
IMAGES_FILE, LABELS_FILE, DATASET_FILE = "images.npy", "labels.npy", "dataset.json"
NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
"""Flag of a memory map that sets no memory aside; Python has had its name since 3.13."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageDataset:
    """A dataset. Opening one costs the same whatever its size, as the images stay on disk until they are read."""

    name: str
    """Name of the dataset, for results and reports."""
    images: UInt8[np.ndarray, "image height width 3"]
    """RGB images; a memory map where the dataset lies on disk."""
    labels: Int64[np.ndarray, " image"]
    """Class number of each image, an index of `class_names`."""
    class_names: tuple[str, ...]
    splits: Mapping[Split, tuple[int, ...]]
    """Class numbers of each split; no class is in two."""
    digest: str
    """SHA-256 over images, labels, names, splits and settings, hexadecimal."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """How the dataset was made."""

    def rows(self, split: Split) -> Int64[np.ndarray, " row"]:
        """Numbers of the images of a split, in ascending order.

        Raises:
            InputError: the dataset has no class in this split.
        """
        classes = self.splits.get(split, ())
        if not classes:
            raise InputError(f"dataset {self.name} has no {split} classes")
        return np.flatnonzero(np.isin(self.labels, classes))

    def image_tensor(self) -> "torch.Tensor":
        """All images as a uint8 tensor, "image height width 3", that shares the dataset's memory; never write to it."""
        import torch  # which takes seconds to import, and preparation needs none of it

        return torch.from_numpy(self.images)


class DatasetDigest:
    """SHA-256 over everything in a dataset, which takes the images in order and piece by piece; `dataset_digest` takes them all."""

    def __init__(
        self,
        shape: tuple[int, ...],
        labels: Int64[np.ndarray, " image"],
        class_names: tuple[str, ...],
        splits: Mapping[Split, tuple[int, ...]],
        settings: Mapping[str, Any],
    ) -> None:
        header = {
            "shape": shape,
            "classes": class_names,
            "splits": {key: list(splits[key]) for key in sorted(splits)},
            "settings": dict(settings),
        }
        self._hash = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
        self._hash.update(np.ascontiguousarray(labels).tobytes())

    def update(self, images: UInt8[np.ndarray, "image height width 3"]) -> None:
        """Take the next images."""
        self._hash.update(np.ascontiguousarray(images).data)

    def hexdigest(self) -> str:
        """The digest of what was taken so far."""
        return self._hash.hexdigest()


def dataset_digest(
    images: UInt8[np.ndarray, "image height width 3"],
    labels: Int64[np.ndarray, " image"],
    class_names: tuple[str, ...],
    splits: Mapping[Split, tuple[int, ...]],
    settings: Mapping[str, Any],
) -> str:
    """SHA-256 over everything in a dataset, read in pieces so that a dataset larger than memory is fine."""
    digest = DatasetDigest(images.shape, labels, class_names, splits, settings)
    for start in range(0, len(images), 1024):
        digest.update(images[start : start + 1024])
    return digest.hexdigest()


def open_dataset(folder: Path) -> ImageDataset:
    """The dataset that `s2m2 prepare` wrote into a folder.

    Raises:
        InputError: the folder is missing or incomplete, or another format wrote it.
    """
    try:
        described = json.loads((folder / DATASET_FILE).read_text(encoding="utf-8"))
        if described["format"] != DATASET_FORMAT:
            raise InputError(f"{folder / DATASET_FILE} has format {described['format']}, not {DATASET_FORMAT}; prepare the dataset again")
        dataset = ImageDataset(
            name=str(described["name"]),
            images=_map_images(folder / IMAGES_FILE),
            labels=_load_labels(folder / LABELS_FILE),
            class_names=tuple(map(str, described["class_names"])),
            splits={split: tuple(map(int, described["splits"][split])) for split in SPLITS},
            digest=str(described["digest"]),
            settings=dict(described["settings"]),
        )
        if not len(dataset.images) == len(dataset.labels) == described["images"]:
            raise InputError(f"{folder} does not hold the {described['images']} images and labels that it states; prepare it again")
        _check_classes(dataset, folder)
        return dataset
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{folder} is not a dataset that `s2m2 prepare` wrote: it has no {Path(error.filename).name}") from error
    except (OSError, ValueError, EOFError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{folder} is not a dataset that `s2m2 prepare` wrote: {' '.join(str(error).split())}") from error


def _map_images(path: Path) -> UInt8[np.ndarray, "image height width 3"]:
    with path.open("rb") as file:
        try:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        except ValueError as error:
            raise InputError(f"{path} is damaged; prepare the dataset again") from error
        start, size = file.tell(), int(np.prod(shape, dtype=object))
        if dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or size == 0:
            raise InputError(f"{path} does not hold RGB images; prepare the dataset again")
        held = file.seek(0, 2) - start
        if held != size:
            raise InputError(
                f"{path} is {'cut short' if held < size else 'too long'}: {held:,} bytes of images, not {size:,}; prepare the dataset again"
            )
        # Copy-on-write, as torch wants a writable array, and the file shall stay as it is whatever happens to the array. No memory is
        # set aside for the copies, without which a dataset larger than memory could not be mapped.
        mapped = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE | NO_RESERVE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    return np.frombuffer(mapped, dtype=np.uint8, offset=start).reshape(shape)


def _load_labels(path: Path) -> Int64[np.ndarray, " image"]:
    try:
        labels = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is damaged or cut short; prepare the dataset again") from error
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype != np.int64:
        raise InputError(f"{path} does not hold labels; prepare the dataset again")
    return labels


def _check_classes(dataset: ImageDataset, folder: Path) -> None:
    """What a digest would show too, but reading everything takes long and this takes a millisecond."""
    count = len(dataset.class_names)
    if not 0 <= dataset.labels.min() <= dataset.labels.max() < count:
        raise InputError(f"{folder / LABELS_FILE} has a label that is none of the {count} classes; prepare the dataset again")
    numbers = [number for split in SPLITS for number in dataset.splits[split]]
    if len(set(numbers)) != len(numbers) or not all(0 <= number < count for number in numbers):
        raise InputError(f"{folder / DATASET_FILE} has a class in two splits, or one that does not exist; prepare the dataset again")
