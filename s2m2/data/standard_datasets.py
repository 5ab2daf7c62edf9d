"""The standard datasets by name: splits, and image sizes of published results. docs/datasets.md tells the sources of their files."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from s2m2.data.dataset import ImageDataset, Split
from s2m2.errors import InputError
from s2m2.recipe import DataConfig
from s2m2.recipe.data import MIN_SIZE

OWN_SIZE, OWN_RESIZE_RATIO = 80, 1.15
"""Largest default size of own images for a network, in pixels, and their resize at evaluation: S2M2's on all datasets but CIFAR-FS."""


@dataclass(frozen=True, kw_only=True)
class StandardDataset:
    """What is agreed on about a dataset."""

    title: str
    """As papers write it."""
    image_size: int
    """Height and width of a network's input in pixels: S2M2's where S2M2 uses the dataset."""
    resize: float = 1.15
    """At evaluation an image is resized to this multiple of `image_size`, then its center is cropped."""
    original_size: int | None = None
    """Height and width of all images as distributed, in pixels, where no larger ones exist; None: they vary, or larger ones exist."""
    class_list: str | None
    """Name of the packaged class list of the standard split; None: the source brings it."""
    classes: Mapping[Split, int]
    """Classes of each split."""
    images: Mapping[Split, int]
    """Images of each split; Omniglot with rotations has four times the classes and images."""

    @property
    def storage_size(self) -> int:
        """Size in pixels of stored images that evaluation need not enlarge; never more than the originals have."""
        size = math.ceil(self.image_size * self.resize - 1e-6)  # 100 * 1.15 is a little more than 115 in floating point
        return size if self.original_size is None else min(size, self.original_size)


DATASETS: dict[str, StandardDataset] = {
    # Vinyals et al., NeurIPS 2016; split of Ravi & Larochelle, ICLR 2017.
    "mini_imagenet": StandardDataset(
        title="mini-ImageNet",
        image_size=80,
        class_list="mini_imagenet",
        classes={"base": 64, "validation": 16, "novel": 20},
        images={"base": 38_400, "validation": 9_600, "novel": 12_000},
    ),
    # Ren et al., ICLR 2018.
    "tiered_imagenet": StandardDataset(
        title="tieredImageNet",
        image_size=80,
        class_list="tiered_imagenet",
        classes={"base": 351, "validation": 97, "novel": 160},
        images={"base": 448_695, "validation": 124_261, "novel": 206_209},
    ),
    # Wah et al. 2011; split of Chen et al., ICLR 2019.
    "cub": StandardDataset(
        title="CUB-200-2011",
        image_size=80,
        class_list="cub",
        classes={"base": 100, "validation": 50, "novel": 50},
        images={"base": 5_885, "validation": 2_950, "novel": 2_953},
    ),
    # Bertinetto et al., ICLR 2019, of CIFAR-100 (Krizhevsky 2009).
    "cifar_fs": StandardDataset(
        title="CIFAR-FS",
        image_size=32,
        original_size=32,
        class_list="cifar_fs",
        classes={"base": 64, "validation": 16, "novel": 20},
        images={"base": 38_400, "validation": 9_600, "novel": 12_000},
    ),
    # Oreshkin et al., NeurIPS 2018, of CIFAR-100 (Krizhevsky 2009).
    "fc100": StandardDataset(
        title="FC100",
        image_size=32,
        original_size=32,
        class_list="fc100",
        classes={"base": 60, "validation": 20, "novel": 20},
        images={"base": 36_000, "validation": 12_000, "novel": 12_000},
    ),
    # Lake et al., Science 2015; split of Vinyals et al., NeurIPS 2016.
    "omniglot": StandardDataset(
        title="Omniglot",
        image_size=28,
        resize=1.0,
        class_list="omniglot",
        classes={"base": 1_028, "validation": 172, "novel": 423},
        images={"base": 20_560, "validation": 3_440, "novel": 8_460},
    ),
    # Drawn by this package in matplotlib's fonts.
    "glyphs": StandardDataset(
        title="glyphs",
        image_size=32,
        original_size=32,
        class_list=None,
        classes={"base": 64, "validation": 16, "novel": 20},
        images={"base": 7_680, "validation": 1_920, "novel": 2_400},
    ),
}


def standard_dataset(dataset: ImageDataset) -> StandardDataset | None:
    """The standard dataset that a dataset was prepared from; None: own images, or drawn ones."""
    name = dataset.settings.get("dataset")
    return DATASETS.get(name) if isinstance(name, str) else None


def resolve_size(data: DataConfig, dataset: ImageDataset) -> DataConfig:
    """The same settings with numbers for `image_size` and `resize_ratio` where they are null.

    Stated numbers stay, whatever the dataset; across domains the dataset of the base classes decides.

    Args:
        dataset: the images of the base classes.

    Raises:
        InputError: the stored images are smaller than the dataset's usual size; only a stated `image_size` allows to enlarge them.
    """
    standard, stored = standard_dataset(dataset), min(dataset.images.shape[1:3])
    ratio = data.resize_ratio if data.resize_ratio is not None else standard.resize if standard is not None else OWN_RESIZE_RATIO
    if data.image_size is not None:
        return replace(data, resize_ratio=ratio)
    size = standard.image_size if standard is not None else max(MIN_SIZE, min(OWN_SIZE, stored))
    if stored < size:
        whose = f"that networks see of {standard.title}" if standard is not None else "that a network needs at least"
        hint = f"prepare it with --size {standard.storage_size if standard is not None else size}"
        hint += f", or give --data.image_size {max(MIN_SIZE, stored)}"
        raise InputError(f"--data.path {data.path} stores images of {stored}x{stored} pixels, fewer than the {size} {whose}; {hint}")
    return replace(data, image_size=size, resize_ratio=ratio)
