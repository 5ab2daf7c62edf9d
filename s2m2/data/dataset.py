"""`ImageDataset`: all images of a dataset as one memory map, with labels, class names, splits and a digest."""

import hashlib
import json
import math
import mmap
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
import platformdirs
from jaxtyping import Float32, Int64, UInt8

from s2m2.data.chunks import ATTRIBUTE, CheckedChunks
from s2m2.errors import InputError
from s2m2.io import check_regular, expanded

if TYPE_CHECKING:
    import torch

Split = Literal["base", "validation", "novel"]
SPLITS: tuple[Split, ...] = ("base", "validation", "novel")
FIRST_FORMAT, SQUARE_FORMAT, DATASET_FORMAT = 1, 2, 3
"""Of the description. 1, of s2m2 0.1.0, has no checksums; 3 has proportions, which datasets of squares do without."""
IMAGES_FILE, LABELS_FILE, PROPORTIONS_FILE, DATASET_FILE = "images.npy", "labels.npy", "proportions.npy", "dataset.json"
OLD_DATASET_FILE = "table.json"
"""Name of `DATASET_FILE` in datasets that s2m2 0.1.0 prepared."""
CACHE_VARIABLE = "S2M2_CACHE"
NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
"""Flag of a memory map that reserves no memory; named in Python since 3.13."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LabeledImages:
    """Some images of a dataset and their labels: the input of training, feature extraction and analysis."""

    images: "torch.Tensor"
    """All images of the dataset, uint8 "image height width 3"."""
    indices: "torch.Tensor"
    """The images meant, int64 " item"."""
    labels: "torch.Tensor"
    """Class number of each of them, int64 " item", an index of `class_names` where there are names."""
    class_names: tuple[str, ...] = ()
    proportions: "torch.Tensor | None" = None
    """Those of the dataset, float32 " image"; None: it has none."""

    def __len__(self) -> int:
        return len(self.indices)

    def select(self, positions: "torch.Tensor") -> "LabeledImages":
        """The items at some positions of `indices`."""
        return replace(self, indices=self.indices[positions], labels=self.labels[positions])


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageDataset:
    """A dataset. Opening one costs the same whatever its size, as images stay on disk until they are read."""

    name: str
    """Name in results and reports."""
    images: UInt8[np.ndarray, "image height width 3"]
    """RGB images; a memory map where the dataset is on disk."""
    labels: Int64[np.ndarray, " image"]
    """Class number of each image, an index of `class_names`."""
    class_names: tuple[str, ...]
    splits: Mapping[Split, tuple[int, ...]]
    """Class numbers of each split; no class is in two."""
    digest: str
    """SHA-256 over images, labels, names, splits and settings, hexadecimal, whatever is known of proportions."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """How the dataset was made."""
    chunks: CheckedChunks | None = None
    """Checksums of the images; None: drawn or made in memory, or written without any by s2m2 0.1.0."""
    proportions: Float32[np.ndarray, " image"] | None = None
    """Width by height of each image before it was squeezed to the stored size; None: no image was, or nobody noted it."""

    def indices(self, split: Split) -> Int64[np.ndarray, " item"]:
        """Indices of the images of a split, ascending.

        Raises:
            InputError: the dataset has no class in this split.
        """
        classes = self.splits.get(split, ())
        if not classes:
            raise InputError(f"dataset {self.name} has no {split} classes")
        return np.flatnonzero(np.isin(self.labels, classes))

    def labeled(self, split: Split) -> LabeledImages:
        """The images of a split with their class numbers.

        Raises:
            InputError: the dataset has no class in this split.
        """
        import torch

        indices = torch.from_numpy(self.indices(split))
        labels = torch.from_numpy(self.labels)[indices]
        return LabeledImages(
            images=self.image_tensor(),
            indices=indices,
            labels=labels,
            class_names=self.class_names,
            proportions=self.proportion_tensor(),
        )

    def image(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """One image.

        Raises:
            InputError: it is not the one that was written.
        """
        if self.chunks is not None:
            self.chunks.check([index])
        return self.images[index]

    def image_tensor(self) -> "torch.Tensor":
        """All images as a uint8 tensor, "image height width 3", that shares the memory of `images`; never write to it.

        `check_images` and what reads through `s2m2.data.batches` check the images that they read.
        """
        import torch  # which takes seconds to import, and preparation needs none of it

        images = torch.from_numpy(self.images)
        setattr(images, ATTRIBUTE, self.chunks)
        return images

    @property
    def proportions_digest(self) -> str:
        """SHA-256 over the proportions, hexadecimal; empty without any. They shape training crops, and nothing else."""
        return "" if self.proportions is None else hashlib.sha256(np.ascontiguousarray(self.proportions).data).hexdigest()

    def proportion_tensor(self) -> "torch.Tensor | None":
        """The proportions as a tensor that shares their memory; never write to it."""
        import torch

        return None if self.proportions is None else torch.from_numpy(self.proportions)


class DatasetDigest:
    """SHA-256 over everything in a dataset but its proportions. It takes the images in order, in pieces; `dataset_digest` takes them all.

    The keys of settings enter it: those of prepared datasets and glyphs are the keys of s2m2 0.1.0, whose digests stay valid.
    """

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
        """The digest of everything so far."""
        return self._hash.hexdigest()


def dataset_digest(
    images: UInt8[np.ndarray, "image height width 3"],
    labels: Int64[np.ndarray, " image"],
    class_names: tuple[str, ...],
    splits: Mapping[Split, tuple[int, ...]],
    settings: Mapping[str, Any],
) -> str:
    """SHA-256 over everything in a dataset but its proportions, read in pieces, as a dataset may be larger than memory."""
    digest = DatasetDigest(images.shape, labels, class_names, splits, settings)
    for start in range(0, len(images), 1024):
        digest.update(images[start : start + 1024])
    return digest.hexdigest()


def user_cache() -> Path:
    """Where drawn and downloaded datasets are kept: the folder in the environment variable S2M2_CACHE, else the user's cache folder."""
    folder = os.environ.get(CACHE_VARIABLE)
    return expanded(folder) if folder else platformdirs.user_cache_path("s2m2")


def dataset_file(folder: Path) -> Path:
    """The description of a prepared dataset, which s2m2 0.1.0 called otherwise."""
    old = folder / OLD_DATASET_FILE
    return old if old.is_file() and not (folder / DATASET_FILE).is_file() else folder / DATASET_FILE


def description_check(
    content: Mapping[str, Any], labels: Int64[np.ndarray, " image"], proportions: Float32[np.ndarray, " image"] | None = None
) -> str:
    """SHA-256 over the description of a dataset, without the entry `check`, and over its labels and proportions, hexadecimal."""
    hashed = hashlib.sha256(json.dumps({key: content[key] for key in content if key != "check"}, sort_keys=True).encode())
    hashed.update(np.ascontiguousarray(labels).data)
    if proportions is not None:
        hashed.update(np.ascontiguousarray(proportions).data)
    return hashed.hexdigest()


def open_dataset(folder: Path) -> ImageDataset:
    """The dataset that `s2m2 prepare` wrote into a folder. Description and labels are checked here, images when they are read.

    Raises:
        InputError: the folder is missing, incomplete or damaged, or another format wrote it.
    """
    description = dataset_file(folder)
    for file in (description, folder / IMAGES_FILE, folder / LABELS_FILE, folder / PROPORTIONS_FILE):
        check_regular(file)
    try:
        content = json.loads(description.read_text(encoding="utf-8"))
        if content["format"] not in (FIRST_FORMAT, SQUARE_FORMAT, DATASET_FORMAT):
            raise InputError(f"{description} has format {content['format']}, not {DATASET_FORMAT}; prepare the dataset again")
        images, labels = _map_images(folder / IMAGES_FILE), _load_numbers(folder / LABELS_FILE, np.int64, "labels")
        has_proportions = content["format"] == DATASET_FORMAT
        proportions = _load_numbers(folder / PROPORTIONS_FILE, np.float32, "proportions") if has_proportions else None
        is_checked = content["format"] != FIRST_FORMAT
        if is_checked and content["check"] != description_check(content, labels, proportions):
            files = f"{description}, {LABELS_FILE} or {PROPORTIONS_FILE}" if has_proportions else f"{description} or {LABELS_FILE}"
            raise InputError(f"{files} is damaged, by the checksum; prepare the dataset again")
        dataset = ImageDataset(
            name=str(content["name"]),
            images=images,
            labels=labels,
            class_names=tuple(map(str, content["class_names"])),
            splits={split: tuple(map(int, content["splits"][split])) for split in SPLITS},
            digest=str(content["digest"]),
            settings=dict(content["settings"]),
            chunks=CheckedChunks(images, **content["chunks"], path=folder / IMAGES_FILE) if is_checked else None,
            proportions=proportions,
        )
        if {len(images), len(labels), len(labels if proportions is None else proportions)} != {content["images"]}:
            raise InputError(f"{folder} does not hold the {content['images']} images and labels that it states; prepare it again")
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
        shape, dtype, start = _header(file, path)
        if dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or 0 in shape:
            raise InputError(f"{path} does not hold RGB images; prepare the dataset again")
        _check_length(file, path, "images", math.prod(shape))
        # Copy-on-write: torch wants a writable array, and the file must never change. No memory is reserved for the copies, or a
        # dataset larger than memory could not be mapped.
        mapped = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE | NO_RESERVE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    return np.frombuffer(mapped, dtype=np.uint8, offset=start).reshape(shape)


def _load_numbers(path: Path, kind: type[np.number[Any]], what: str) -> np.ndarray:
    with path.open("rb") as file:
        shape, dtype, _ = _header(file, path)
        if len(shape) != 1 or dtype != kind:
            raise InputError(f"{path} does not hold {what}; prepare the dataset again")
        _check_length(file, path, what, shape[0] * dtype.itemsize)
        return np.frombuffer(bytearray(file.read()), dtype=kind)


def _header(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], "np.dtype[Any]", int]:
    """Shape and type of the array in a .npy file, and where its bytes start."""
    try:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    except Exception as error:  # NumPy parses the header as Python, whose exceptions depend on the damage.
        raise InputError(f"{path} is damaged or cut short; prepare the dataset again") from error
    return shape, dtype, file.tell()


def _check_length(file: IO[bytes], path: Path, what: str, size: int) -> None:
    start = file.tell()
    length = file.seek(0, 2) - start
    if length != size:
        fault = "cut short" if length < size else "too long"
        raise InputError(f"{path} is {fault}: {length:,} bytes of {what}, not {size:,}; prepare the dataset again")
    file.seek(start)


def _check_classes(dataset: ImageDataset, folder: Path) -> None:
    """A quick part of what the digest proves, which takes reading every image."""
    count = len(dataset.class_names)
    if not 0 <= dataset.labels.min() <= dataset.labels.max() < count:
        raise InputError(f"{folder / LABELS_FILE} has a label that is none of the {count} classes; prepare the dataset again")
    numbers = [number for split in SPLITS for number in dataset.splits[split]]
    if len(set(numbers)) != len(numbers) or not all(0 <= number < count for number in numbers):
        raise InputError(f"{dataset_file(folder)} has a class in two splits, or one that does not exist; prepare the dataset again")
