"""How large the network of a run sees pictures, where the recipe leaves that to the data set."""

from dataclasses import replace

from s2m2.data.datasets import DATASETS, Dataset
from s2m2.data.table import ImageTable
from s2m2.errors import InputError
from s2m2.recipe import DataConfig
from s2m2.recipe.data import LEAST_SIDE

OWN_SIDE, OWN_RESIZE = 80, 1.15
"""Side in pixels that a network sees own pictures at, at most, and their resize at evaluation: S2M2's for all but CIFAR-FS."""


def dataset_of(table: ImageTable) -> Dataset | None:
    """The data set that a table was prepared from; None: own pictures, or drawn ones."""
    name = table.settings.get("dataset")
    return DATASETS.get(name) if isinstance(name, str) else None


def settle_size(data: DataConfig, table: ImageTable) -> DataConfig:
    """The same settings with numbers for `image_size` and `resize` where they are null.

    Numbers that the recipe states are kept, whatever the data set; across domains the data set of the base classes decides.

    Args:
        table: the pictures of the base classes.

    Raises:
        InputError: the table stores fewer pixels than its data set is seen at, which only a stated `image_size` can be meant to enlarge.
    """
    dataset, stored = dataset_of(table), min(table.images.shape[1:3])
    resize = data.resize if data.resize is not None else dataset.resize if dataset is not None else OWN_RESIZE
    if data.image_size is not None:
        return replace(data, resize=resize)
    size = dataset.image_size if dataset is not None else max(LEAST_SIDE, min(OWN_SIDE, stored))
    if stored < size:
        whose = f"that networks see of {dataset.title}" if dataset is not None else "that a network needs at least"
        enough = dataset.storage_side if dataset is not None else size
        hint = f"prepare it with --size {enough}, or give --data.image_size {max(LEAST_SIDE, stored)}"
        raise InputError(f"--data.table {data.table} stores pictures of {stored}x{stored} pixels, fewer than the {size} {whose}; {hint}")
    return replace(data, image_size=size, resize=resize)
