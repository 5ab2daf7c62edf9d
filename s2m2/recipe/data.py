"""Settings of the pictures: which table, how large the network sees them, how training varies them."""

from dataclasses import dataclass, field
from typing import Literal

from s2m2.recipe.checks import check

DOWNLOADABLE = ("mini_imagenet", "tiered_imagenet", "cifar_fs", "fc100", "cub")
"""Data sets that learn2learn downloads."""
LEAST_SIDE = 28
"""Side in pixels below which no network is built."""


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random variation of training pictures, drawn anew for every picture and step (method of S2M2: all of it on)."""

    crop_area: tuple[float, float] = (0.5, 1.0)
    """Least and greatest area of the random crop, as a share of the picture. S2M2 uses 0.08 1.0."""
    crop_ratio: tuple[float, float] = (0.75, 4 / 3)
    """Least and greatest width-to-height ratio of the random crop."""
    flip: float = 0.0
    """Probability of a mirror image, left to right. S2M2 uses 0.5; characters lose their meaning by it."""
    jitter: float = 0.4
    """Brightness, contrast and saturation are each multiplied by a factor drawn from [1 - jitter, 1 + jitter]."""

    def __post_init__(self) -> None:
        for name, low, high in (("crop_area", *self.crop_area), ("crop_ratio", *self.crop_ratio)):
            check(0 < low <= high, f"data.augment.{name}", [low, high], "two numbers above 0, the smaller one first")
        check(self.crop_area[1] <= 1, "data.augment.crop_area", list(self.crop_area), "at most 1, the whole picture")
        check(0 <= self.flip <= 1, "data.augment.flip", self.flip, "a probability from 0 to 1")
        check(0 <= self.jitter < 1, "data.augment.jitter", self.jitter, "at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which pictures a run uses."""

    table: str = "glyphs"
    """The pictures: `glyphs`, which are drawn on first use, or a folder that `s2m2 prepare` wrote.
    With --data.download: mini_imagenet, tiered_imagenet, cifar_fs, fc100 or cub."""
    download: Literal["learn2learn"] | None = None
    """learn2learn: its data set classes download the pictures of `table` into the user's cache, once; null: no download."""
    validation_table: str | None = None
    """The pictures of the validation classes, where they are of another data set than the base classes; null: those of `table`."""
    image_size: int | None = None
    """Side of the square that the network sees, in pixels; 28 or more. null: that of the data set of `table`, which is 80 for
    mini-ImageNet, tieredImageNet and CUB, 32 for CIFAR-FS, FC100 and glyphs, 28 for Omniglot, and for own pictures 80, or what the table
    stores where that is less."""
    resize: float | None = None
    """At evaluation the picture is resized to this multiple of `image_size`, then its centre is cropped; 1 or more. null: that of the
    data set of `table`, which is 1 for Omniglot and 1.15 for all others."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Mean of red, green and blue that is subtracted, on a scale of 0 to 1. S2M2 uses ImageNet's on every data set."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """Standard deviation of red, green and blue that is divided by, on a scale of 0 to 1."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    held_out: float = 0.0
    """Share of the pictures of every base class that training does not see, for `s2m2 analyse` to measure on."""
    corrupt_labels: float = 0.0
    """Share of the training pictures that get the label of another class, to study what a network does with wrong labels."""

    def __post_init__(self) -> None:
        if self.download is not None:
            check(self.table in DOWNLOADABLE, "data.table", self.table, f"one of {', '.join(DOWNLOADABLE)} with --data.download")
        check(
            self.image_size is None or self.image_size >= LEAST_SIDE,
            "data.image_size",
            self.image_size,
            f"{LEAST_SIDE} pixels or more, or null",
        )
        check(self.resize is None or 1 <= self.resize <= 2, "data.resize", self.resize, "from 1 to 2, or null")
        check(0 <= self.held_out < 1, "data.held_out", self.held_out, "at least 0 and below 1")
        check(0 <= self.corrupt_labels <= 1, "data.corrupt_labels", self.corrupt_labels, "from 0 to 1")
        check(min(self.std) > 0, "data.std", list(self.std), "above 0")

    @property
    def side(self) -> int:
        """Side of the square that the network sees, in pixels.

        Raises:
            ValueError: `image_size` is null still; the data set settles it where a run begins.
        """
        if self.image_size is None:
            raise ValueError("data.image_size is not settled yet")
        return self.image_size

    @property
    def resized_side(self) -> int:
        """Side of the square that a picture is resized to at evaluation, of which the network sees the centre, in pixels.

        Raises:
            ValueError: `image_size` or `resize` is null still.
        """
        if self.resize is None:
            raise ValueError("data.resize is not settled yet")
        return int(self.side * self.resize + 1e-6)  # 100 * 1.15 is a little less than 115 in floating point
