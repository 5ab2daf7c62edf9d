"""`ImageTable`: all pictures of a data set as one memory map, with labels, class names, splits and a digest."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from s2m2.errors import InputError

Split = Literal["base", "validation", "novel"]
SPLITS: tuple[Split, ...] = ("base", "validation", "novel")
TABLE_FORMAT = 1
IMAGES_FILE, LABELS_FILE, TABLE_FILE = "images.npy", "labels.npy", "table.json"


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

    def image_tensor(self) -> UInt8[Tensor, "image height width 3"]:
        """All pictures as a tensor that shares the table's memory; never write to it."""
        return torch.from_numpy(self.images)


def table_digest(
    images: UInt8[np.ndarray, "image height width 3"],
    labels: Int64[np.ndarray, " image"],
    class_names: tuple[str, ...],
    splits: Mapping[Split, tuple[int, ...]],
    settings: Mapping[str, Any],
) -> str:
    """SHA-256 over everything in a table, read in pieces so that a table larger than memory is fine."""
    digest = hashlib.sha256()
    header = {
        "shape": images.shape,
        "classes": class_names,
        "splits": {key: list(splits[key]) for key in sorted(splits)},
        "settings": dict(settings),
    }
    digest.update(json.dumps(header, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(labels).tobytes())
    for start in range(0, len(images), 1024):
        digest.update(np.ascontiguousarray(images[start : start + 1024]).tobytes())
    return digest.hexdigest()


def open_table(folder: Path) -> ImageTable:
    """The table that `s2m2 prepare` wrote into a folder.

    Raises:
        InputError: the folder is missing or incomplete, or another format wrote it.
    """
    try:
        described = json.loads((folder / TABLE_FILE).read_text(encoding="utf-8"))
        # Copy-on-write: torch wants a writable array, and the file stays as it is whatever happens to the array.
        images = np.load(folder / IMAGES_FILE, mmap_mode="c", allow_pickle=False)
        labels = np.load(folder / LABELS_FILE, allow_pickle=False)
        if described["format"] != TABLE_FORMAT:
            raise InputError(f"{folder / TABLE_FILE} has format {described['format']}, not {TABLE_FORMAT}; prepare the table again")
        if images.ndim != 4 or images.dtype != np.uint8 or not len(images) == len(labels) == described["images"]:
            raise InputError(f"{folder} does not hold the {described['images']} pictures and labels that it states; prepare it again")
        return ImageTable(
            name=described["name"],
            images=images,
            labels=labels,
            class_names=tuple(described["class_names"]),
            splits={split: tuple(described["splits"][split]) for split in SPLITS},
            digest=described["digest"],
            settings=described["settings"],
        )
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{folder} is not a table that `s2m2 prepare` wrote: it has no {Path(error.filename).name}") from error
    except (OSError, ValueError, EOFError, KeyError, TypeError) as error:
        raise InputError(f"{folder} is not a table that `s2m2 prepare` wrote: {' '.join(str(error).split())}") from error
