"""The datasets of a run, by name or folder. Imports torch only to draw glyphs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64, UInt8

from s2m2.data.dataset import ImageDataset, Split, open_dataset
from s2m2.data.learn2learn_datasets import CLASSES, downloaded_dataset
from s2m2.errors import InputError
from s2m2.io import expanded
from s2m2.recipe import DataConfig, EvaluateConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageDatasets:
    """The images of a run. Usually one dataset has them all; across domains base, validation and novel classes have their own."""

    base: ImageDataset
    """Images for training."""
    validation: ImageDataset
    novel: ImageDataset
    queries: ImageDataset | None = None
    """Queries of tasks, in classes of the same names; None: those of the dataset of the support images."""

    def of(self, split: Split) -> ImageDataset:
        """The dataset with the classes of a split."""
        return {"base": self.base, "validation": self.validation, "novel": self.novel}[split]

    def digest(self, split: Split) -> str:
        """Identifies the images of the tasks of a split."""
        digest = self.of(split).digest
        return digest if self.queries is None else f"{digest}+{self.queries.digest}"

    def image(self, split: Split, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """An image by its index in the dataset of a split; indices beyond its end continue in `queries`."""
        dataset = self.of(split)
        if index < len(dataset.images):
            return dataset.image(index)
        assert self.queries is not None
        return self.queries.image(index - len(dataset.images))


def _glyphs() -> ImageDataset:
    from s2m2.data.glyphs import glyph_dataset

    return glyph_dataset()


DRAWN = {"glyphs": _glyphs}
"""Datasets that need no files."""


def load_dataset(name_or_folder: str, download: Literal["learn2learn"] | None = None) -> ImageDataset:
    """A dataset by name, or the one that `s2m2 prepare` wrote into a folder.

    Args:
        download: have learn2learn download the dataset of this name, unless it is in the user's cache already.

    Raises:
        InputError: it is neither, or cannot be downloaded.
    """
    if download is not None:
        return downloaded_dataset(name_or_folder)
    if name_or_folder in DRAWN:
        return DRAWN[name_or_folder]()
    folder = expanded(name_or_folder)
    if not folder.is_dir():
        hint = "; --data.download learn2learn obtains it" if name_or_folder in CLASSES else ""
        raise InputError(f"no dataset {name_or_folder}: neither a folder that `s2m2 prepare` wrote nor one of {', '.join(DRAWN)}{hint}")
    return open_dataset(folder)


def load_datasets(data: DataConfig, evaluate: EvaluateConfig) -> ImageDatasets:
    """The datasets that a recipe names.

    Raises:
        InputError: one of them is not there.
    """
    base = load_dataset(data.path, data.download)
    named = {"data.validation_dataset": data.validation_dataset, "evaluate.novel_dataset": evaluate.novel_dataset}
    named["evaluate.query_dataset"] = evaluate.query_dataset
    others = {flag: _load_other(flag, dataset, data.download) if dataset is not None else None for flag, dataset in named.items()}
    validation, novel, queries = others.values()
    return ImageDatasets(base=base, validation=validation or base, novel=novel or base, queries=queries)


def _load_other(flag: str, dataset: str, download: Literal["learn2learn"] | None) -> ImageDataset:
    try:
        # A downloaded dataset goes by its name, a prepared one by its folder.
        return load_dataset(dataset, download if dataset in CLASSES and not Path(dataset).is_dir() else None)
    except InputError as error:
        raise InputError(f"--{flag}: {error}") from error


def query_indices(datasets: ImageDatasets, split: Split) -> tuple[Int64[np.ndarray, " item"], Int64[np.ndarray, " item"]]:
    """Images of `datasets.queries` for tasks of a split, and the class number of each in the dataset of the split.

    Classes are matched by name, whatever their split in the query dataset.

    Raises:
        InputError: the datasets have no class of the split in common, or are one and the same.
    """
    assert datasets.queries is not None
    support, queries = datasets.of(split), datasets.queries
    if queries.digest == support.digest:
        raise InputError(f"--evaluate.query_dataset has {queries.name}, where the support comes from: images would be their own queries")
    numbers = {support.class_names[number]: number for number in support.splits[split]}
    number_of = np.array([numbers.get(name, -1) for name in queries.class_names])
    labels = number_of[queries.labels]
    indices = np.flatnonzero(labels >= 0)
    if not len(indices):
        raise InputError(f"--evaluate.query_dataset has {queries.name}, which has no class of the {split} classes of {support.name}")
    return indices, labels[indices]
