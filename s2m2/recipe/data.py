"""Settings of the images: which dataset, how large the network sees them, how training varies them."""

from dataclasses import dataclass, field
from typing import Literal

from s2m2.recipe.checks import check

DOWNLOADABLE = ("mini_imagenet", "tiered_imagenet", "cifar_fs", "fc100", "cub")
"""Datasets that learn2learn downloads."""
MIN_SIZE = 28
"""Side in pixels below which no network is built."""


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random variation of training images, drawn anew for every image and step (method of S2M2: all of it on)."""

    scale: tuple[float, float] = (0.5, 1.0)
    """Least and greatest area of the random crop, as a share of the image. S2M2 uses 0.08 1.0."""
    ratio: tuple[float, float] = (0.75, 4 / 3)
    """Least and greatest width-to-height ratio of the random crop."""
    flip: float = 0.0
    """Probability of a mirror image, left to right. S2M2 uses 0.5; characters lose their meaning by it."""
    jitter: float = 0.4
    """Brightness, contrast and saturation are each multiplied by a factor drawn from [1 - jitter, 1 + jitter]."""

    def __post_init__(self) -> None:
        for name, low, high in (("scale", *self.scale), ("ratio", *self.ratio)):
            check(0 < low <= high, f"data.augment.{name}", [low, high], "two numbers above 0, the smaller one first")
        check(self.scale[1] <= 1, "data.augment.scale", list(self.scale), "at most 1, the whole image")
        check(0 <= self.flip <= 1, "data.augment.flip", self.flip, "a probability from 0 to 1")
        check(0 <= self.jitter < 1, "data.augment.jitter", self.jitter, "at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which images a run uses."""

    path: str = "glyphs"
    """The images: `glyphs`, which are drawn on first use, or a folder that `s2m2 prepare` wrote.
    With --data.download: mini_imagenet, tiered_imagenet, cifar_fs, fc100 or cub."""
    download: Literal["learn2learn"] | None = None
    """learn2learn: its dataset classes download the images of `path` into the user's cache, once; null: no download."""
    validation_dataset: str | None = None
    """The images of the validation classes, where they are of another dataset than the base classes; null: those of `path`."""
    image_size: int | None = None
    """Side of the square that the network sees, in pixels; 28 or more. null: that of the dataset of `path`, which is 80 for
    mini-ImageNet, tieredImageNet and CUB, 32 for CIFAR-FS, FC100 and glyphs, 28 for Omniglot, and for own images 80, or what the dataset
    stores where that is less."""
    resize_ratio: float | None = None
    """At evaluation the image is resized to this multiple of `image_size`, then its center is cropped; 1 or more. null: that of the
    dataset of `path`, which is 1 for Omniglot and 1.15 for all others."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Mean of red, green and blue that is subtracted, on a scale of 0 to 1. S2M2 uses ImageNet's on every dataset."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """Standard deviation of red, green and blue that is divided by, on a scale of 0 to 1."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    holdout_fraction: float = 0.0
    """Share of the images of every base class that training does not see, for `s2m2 analyze` to measure on."""
    label_noise: float = 0.0
    """Share of the training images that get the label of another class, to study what a network does with wrong labels."""

    def __post_init__(self) -> None:
        if self.download is not None:
            check(self.path in DOWNLOADABLE, "data.path", self.path, f"one of {', '.join(DOWNLOADABLE)} with --data.download")
        check(
            self.image_size is None or self.image_size >= MIN_SIZE,
            "data.image_size",
            self.image_size,
            f"{MIN_SIZE} pixels or more, or null",
        )
        check(self.resize_ratio is None or 1 <= self.resize_ratio <= 2, "data.resize_ratio", self.resize_ratio, "from 1 to 2, or null")
        check(0 <= self.holdout_fraction < 1, "data.holdout_fraction", self.holdout_fraction, "at least 0 and below 1")
        check(0 <= self.label_noise <= 1, "data.label_noise", self.label_noise, "from 0 to 1")
        check(min(self.std) > 0, "data.std", list(self.std), "above 0")

    @property
    def size(self) -> int:
        """Side of the square that the network sees, in pixels.

        Raises:
            ValueError: `image_size` is null still; the dataset settles it where a run begins.
        """
        if self.image_size is None:
            raise ValueError("data.image_size is not settled yet")
        return self.image_size

    @property
    def resized_size(self) -> int:
        """Side of the square that an image is resized to at evaluation, of which the network sees the center, in pixels.

        Raises:
            ValueError: `image_size` or `resize_ratio` is null still.
        """
        if self.resize_ratio is None:
            raise ValueError("data.resize_ratio is not settled yet")
        return int(self.size * self.resize_ratio + 1e-6)  # 100 * 1.15 is a little less than 115 in floating point
