"""Settings of the images: the dataset, the size that the network sees, and the augmentation."""

from dataclasses import dataclass, field
from typing import Literal

from s2m2.recipe.ranges import (
    ClosedUnitInterval,
    FromZeroBelowOne,
    ImageSize,
    PositiveFloat,
    ResizeRatio,
    check,
    check_ranges,
)

DOWNLOADABLE = ("mini_imagenet", "tiered_imagenet", "cifar_fs", "fc100", "cub")
"""Datasets that learn2learn downloads."""
Channels = tuple[float, float, float]
"""A number each for red, green and blue."""
IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_STD: Channels = (0.229, 0.224, 0.225)
MIN_SIZE = 28
"""Smallest image size in pixels that a network is built for."""


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random augmentation of training images, sampled again for every image and step. S2M2 uses all of it."""

    scale: tuple[PositiveFloat, PositiveFloat] = (0.5, 1.0)
    """Min and max area of the random crop, as a fraction of the image. S2M2: 0.08 1.0; milder here, for short training."""
    ratio: tuple[PositiveFloat, PositiveFloat] = (0.75, 4 / 3)
    """Min and max width-to-height ratio of the random crop. Default: torchvision's."""
    flip: ClosedUnitInterval = 0.0
    """Probability of a horizontal flip. S2M2: 0.5; 0 for glyphs, as mirrored characters lose their meaning."""
    jitter: FromZeroBelowOne = 0.4
    """Strength of color jitter: brightness, contrast and saturation are each multiplied by a factor from [1 - jitter, 1 + jitter].
    Default: S2M2's."""

    def __post_init__(self) -> None:
        check_ranges(self, "data.augment")
        for name, (low, high) in (("scale", self.scale), ("ratio", self.ratio)):
            check(low <= high, f"data.augment.{name}", [low, high], "two numbers above 0, the smaller one first")
        check(self.scale[1] <= 1, "data.augment.scale", list(self.scale), "at most 1, the whole image")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The images of a run."""

    path: str = "glyphs"
    """Dataset: `glyphs`, rendered on first use, or a folder written by `s2m2 prepare`. With --data.download: mini_imagenet,
    tiered_imagenet, cifar_fs, fc100 or cub."""
    download: Literal["learn2learn"] | None = None
    """learn2learn: download the images of data.path once, by its dataset classes, into the user's cache. null: no download."""
    validation_dataset: str | None = None
    """Dataset of the validation classes, for validation on another domain than the base classes. null: that of data.path."""
    image_size: ImageSize | None = None
    """Size of the square that the network sees, in pixels, 28 or more. null: that of the dataset, which is 80 for mini-ImageNet,
    tieredImageNet and CUB, 32 for CIFAR-FS, FC100 and glyphs, 28 for Omniglot, and for own images 80 or the stored size if smaller.
    Weights of timm bring their own size where the images are stored as large."""
    resize_ratio: ResizeRatio | None = None
    """Evaluation resizes an image to this multiple of image_size, then takes the center crop; 1 to 2. null: that of timm weights, else 1
    for Omniglot and 1.15 for all other datasets."""
    mean: tuple[float, float, float] | None = None
    """Mean of red, green and blue to subtract, on a scale of 0 to 1. null: that of the timm weights that the run starts with, else
    ImageNet's (0.485 0.456 0.406), as in S2M2 for every dataset."""
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = None
    """Standard deviation of red, green and blue to divide by, on a scale of 0 to 1. null: that of the timm weights, else ImageNet's
    (0.229 0.224 0.225)."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    holdout_fraction: FromZeroBelowOne = 0.0
    """Fraction of the images of every base class left out of training, for `s2m2 analyze` to measure on."""
    label_noise: ClosedUnitInterval = 0.0
    """Fraction of the training images with the label of another class, to study memorized labels."""

    def __post_init__(self) -> None:
        check_ranges(self, "data")
        if self.download is not None:
            check(self.path in DOWNLOADABLE, "data.path", self.path, f"one of {', '.join(DOWNLOADABLE)} with --data.download")

    @property
    def normalization(self) -> tuple[Channels, Channels]:
        """Mean and standard deviation of red, green and blue."""
        return self.mean or IMAGENET_MEAN, self.std or IMAGENET_STD

    @property
    def size(self) -> int:
        """Size of the square that the network sees, in pixels.

        Raises:
            ValueError: `image_size` is still null; the dataset resolves it where a run begins.
        """
        if self.image_size is None:
            raise ValueError("data.image_size is not resolved yet")
        return self.image_size

    @property
    def resized_size(self) -> int:
        """Size in pixels that evaluation resizes an image to, before the center crop.

        Raises:
            ValueError: `image_size` or `resize_ratio` is still null.
        """
        if self.resize_ratio is None:
            raise ValueError("data.resize_ratio is not resolved yet")
        return int(self.size * self.resize_ratio + 1e-6)  # 100 * 1.15 is a little less than 115 in floating point
