"""The datasets by name: their splits, and the sizes that results are published for. README.md tells where their files come from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from s2m2.data.dataset import Split


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What is agreed on about a dataset."""

    title: str
    """As papers write it."""
    image_size: int
    """Side of the square that the network sees, in pixels: S2M2's where S2M2 uses the dataset."""
    resize: float = 1.15
    """At evaluation an image is resized to this multiple of `image_size` before its center is cropped."""
    original_size: int | None = None
    """Side of all images as they are distributed, in pixels, where no larger ones exist; None: they vary, or larger ones do exist."""
    class_list: str | None
    """Name of the packaged class list of the canonical split; None: the images bring it."""
    classes: Mapping[Split, int]
    """Classes of each split."""
    images: Mapping[Split, int]
    """Images of each split."""

    @property
    def storage_size(self) -> int:
        """Side in pixels that a dataset needs so that evaluation does not enlarge it; never more than the images have."""
        needed = math.ceil(self.image_size * self.resize - 1e-6)  # 100 * 1.15 is a little more than 115 in floating point
        return needed if self.original_size is None else min(needed, self.original_size)


DATASETS: dict[str, Dataset] = {
    # Vinyals et al., NeurIPS 2016; split of Ravi & Larochelle, ICLR 2017.
    "mini_imagenet": Dataset(
        title="mini-ImageNet",
        image_size=80,
        class_list="mini_imagenet",
        classes={"base": 64, "validation": 16, "novel": 20},
        images={"base": 38_400, "validation": 9_600, "novel": 12_000},
    ),
    # Ren et al., ICLR 2018.
    "tiered_imagenet": Dataset(
        title="tieredImageNet",
        image_size=80,
        class_list="tiered_imagenet",
        classes={"base": 351, "validation": 97, "novel": 160},
        images={"base": 448_695, "validation": 124_261, "novel": 206_209},
    ),
    # Wah et al. 2011; split of Chen et al., ICLR 2019.
    "cub": Dataset(
        title="CUB-200-2011",
        image_size=80,
        class_list="cub",
        classes={"base": 100, "validation": 50, "novel": 50},
        images={"base": 5_885, "validation": 2_950, "novel": 2_953},
    ),
    # Bertinetto et al., ICLR 2019, of CIFAR-100 (Krizhevsky 2009).
    "cifar_fs": Dataset(
        title="CIFAR-FS",
        image_size=32,
        original_size=32,
        class_list="cifar_fs",
        classes={"base": 64, "validation": 16, "novel": 20},
        images={"base": 38_400, "validation": 9_600, "novel": 12_000},
    ),
    # Oreshkin et al., NeurIPS 2018, of CIFAR-100 (Krizhevsky 2009).
    "fc100": Dataset(
        title="FC100",
        image_size=32,
        original_size=32,
        class_list="fc100",
        classes={"base": 60, "validation": 20, "novel": 20},
        images={"base": 36_000, "validation": 12_000, "novel": 12_000},
    ),
    # Lake et al., Science 2015; split of Vinyals et al., NeurIPS 2016.
    "omniglot": Dataset(
        title="Omniglot",
        image_size=28,
        resize=1.0,
        class_list="omniglot",
        classes={"base": 1_028, "validation": 172, "novel": 423},
        images={"base": 20_560, "validation": 3_440, "novel": 8_460},
    ),
    # Drawn by this package from the fonts that matplotlib ships.
    "glyphs": Dataset(
        title="glyphs",
        image_size=32,
        original_size=32,
        class_list=None,
        classes={"base": 64, "validation": 16, "novel": 20},
        images={"base": 7_680, "validation": 1_920, "novel": 2_400},
    ),
}
"""Rotated, Omniglot has four times the classes and images."""
