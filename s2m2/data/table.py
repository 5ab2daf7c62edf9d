"""`ImageTable`: all pictures of a data set as one memory map, with labels, class names, splits and a digest."""

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
TABLE_FORMAT = 1
IMAGES_FILE, LABELS_FILE, TABLE_FILE = "images.npy", "labels.npy", "table.json"
NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
"""Flag of a memory map that sets no memory aside; Python has had its name since 3.13."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageTable:
    """A data set. Opening one costs the same whatever its size, as the pictures stay on disk until they are read."""

    name: str
    """Name of the data set, for results and reports."""
    images: UInt8[np.ndarray, "image height width 3"]
    """RGB pictures; a memory map where the table lies on disk."""
    labels: Int64[np.ndarray, " image"]
    """Class number of each picture, an index of `class_names`."""
    class_names: tuple[str, ...]
    splits: Mapping[Split, tuple[int, ...]]
    """Class numbers of each split; no class is in two."""
    digest: str
    """SHA-256 over pictures, labels, names, splits and settings, hexadecimal."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """How the table was made."""

    def rows(self, split: Split) -> Int64[np.ndarray, " row"]:
        """Numbers of the pictures of a split, in ascending order.

        Raises:
            InputError: the table has no class in this split.
        """
        classes = self.splits.get(split, ())
        if not classes:
            raise InputError(f"data set {self.name} has no {split} classes")
        return np.flatnonzero(np.isin(self.labels, classes))

    def image_tensor(self) -> "torch.Tensor":
        """All pictures as a uint8 tensor, "image height width 3", that shares the table's memory; never write to it."""
        import torch  # which takes seconds to import, and preparation needs none of it

        return torch.from_numpy(self.images)


class TableDigest:
    """SHA-256 over everything in a table, which takes the pictures in order and piece by piece; `table_digest` takes them all."""

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
        """Take the next pictures."""
        self._hash.update(np.ascontiguousarray(images).data)

    def hexdigest(self) -> str:
        """The digest of what was taken so far."""
        return self._hash.hexdigest()


def table_digest(
    images: UInt8[np.ndarray, "image height width 3"],
    labels: Int64[np.ndarray, " image"],
    class_names: tuple[str, ...],
    splits: Mapping[Split, tuple[int, ...]],
    settings: Mapping[str, Any],
) -> str:
    """SHA-256 over everything in a table, read in pieces so that a table larger than memory is fine."""
    digest = TableDigest(images.shape, labels, class_names, splits, settings)
    for start in range(0, len(images), 1024):
        digest.update(images[start : start + 1024])
    return digest.hexdigest()


def open_table(folder: Path) -> ImageTable:
    """The table that `s2m2 prepare` wrote into a folder.

    Raises:
        InputError: the folder is missing or incomplete, or another format wrote it.
    """
    try:
        described = json.loads((folder / TABLE_FILE).read_text(encoding="utf-8"))
        if described["format"] != TABLE_FORMAT:
            raise InputError(f"{folder / TABLE_FILE} has format {described['format']}, not {TABLE_FORMAT}; prepare the table again")
        table = ImageTable(
            name=str(described["name"]),
            images=_map_images(folder / IMAGES_FILE),
            labels=_load_labels(folder / LABELS_FILE),
            class_names=tuple(map(str, described["class_names"])),
            splits={split: tuple(map(int, described["splits"][split])) for split in SPLITS},
            digest=str(described["digest"]),
            settings=dict(described["settings"]),
        )
        if not len(table.images) == len(table.labels) == described["images"]:
            raise InputError(f"{folder} does not hold the {described['images']} pictures and labels that it states; prepare it again")
        _check_classes(table, folder)
        return table
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{folder} is not a table that `s2m2 prepare` wrote: it has no {Path(error.filename).name}") from error
    except (OSError, ValueError, EOFError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{folder} is not a table that `s2m2 prepare` wrote: {' '.join(str(error).split())}") from error


def _map_images(path: Path) -> UInt8[np.ndarray, "image height width 3"]:
    with path.open("rb") as file:
        try:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        except ValueError as error:
            raise InputError(f"{path} is damaged; prepare the table again") from error
        start, size = file.tell(), int(np.prod(shape, dtype=object))
        if dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or size == 0:
            raise InputError(f"{path} does not hold RGB pictures; prepare the table again")
        held = file.seek(0, 2) - start
        if held != size:
            raise InputError(
                f"{path} is {'cut short' if held < size else 'too long'}: {held:,} bytes of pictures, not {size:,}; prepare the table again"
            )
        # Copy-on-write, as torch wants a writable array, and the file shall stay as it is whatever happens to the array. No memory is
        # set aside for the copies, without which a table larger than memory could not be mapped.
        mapped = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE | NO_RESERVE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    return np.frombuffer(mapped, dtype=np.uint8, offset=start).reshape(shape)


def _load_labels(path: Path) -> Int64[np.ndarray, " image"]:
    try:
        labels = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is damaged or cut short; prepare the table again") from error
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype != np.int64:
        raise InputError(f"{path} does not hold labels; prepare the table again")
    return labels


def _check_classes(table: ImageTable, folder: Path) -> None:
    """What a digest would show too, but reading everything takes long and this takes a millisecond."""
    count = len(table.class_names)
    if not 0 <= table.labels.min() <= table.labels.max() < count:
        raise InputError(f"{folder / LABELS_FILE} has a label that is none of the {count} classes; prepare the table again")
    numbers = [number for split in SPLITS for number in table.splits[split]]
    if len(set(numbers)) != len(numbers) or not all(0 <= number < count for number in numbers):
        raise InputError(f"{folder / TABLE_FILE} has a class in two splits, or one that does not exist; prepare the table again")
