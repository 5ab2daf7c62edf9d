"""How large the network of a run sees images, where the recipe leaves that to the dataset."""

from dataclasses import replace

from s2m2.data.dataset import ImageDataset
from s2m2.data.datasets import DATASETS, Dataset
from s2m2.errors import InputError
from s2m2.recipe import DataConfig
from s2m2.recipe.data import MIN_SIZE

OWN_SIZE, OWN_RESIZE = 80, 1.15
"""Side in pixels that a network sees own images at, at most, and their resize at evaluation: S2M2's for all but CIFAR-FS."""


def dataset_of(dataset: ImageDataset) -> Dataset | None:
    """The dataset that a dataset was prepared from; None: own images, or drawn ones."""
    name = dataset.settings.get("dataset")
    return DATASETS.get(name) if isinstance(name, str) else None


def settle_size(data: DataConfig, dataset: ImageDataset) -> DataConfig:
    """The same settings with numbers for `image_size` and `resize` where they are null.

    Numbers that the recipe states are kept, whatever the dataset; across domains the dataset of the base classes decides.

    Args:
        dataset: the images of the base classes.

    Raises:
        InputError: the dataset stores fewer pixels than its dataset is seen at, which only a stated `image_size` can be meant to enlarge.
    """
    named, stored = dataset_of(dataset), min(dataset.images.shape[1:3])
    resize = data.resize_ratio if data.resize_ratio is not None else named.resize if named is not None else OWN_RESIZE
    if data.image_size is not None:
        return replace(data, resize_ratio=resize)
    size = named.image_size if named is not None else max(MIN_SIZE, min(OWN_SIZE, stored))
    if stored < size:
        whose = f"that networks see of {named.title}" if named is not None else "that a network needs at least"
        enough = named.storage_size if named is not None else size
        hint = f"prepare it with --size {enough}, or give --data.image_size {max(MIN_SIZE, stored)}"
        raise InputError(f"--data.path {data.path} stores images of {stored}x{stored} pixels, fewer than the {size} {whose}; {hint}")
    return replace(data, image_size=size, resize_ratio=resize)
