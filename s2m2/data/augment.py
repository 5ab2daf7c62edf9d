"""Batched augmentation on the device of the images, each image with its own random parameters.

Crop, flip and antialiased resize are linear along both axes, so the three together are two small matrices per image, and a batch is
two batched matrix products. Rotation comes last and is exact (`rot90`): a resampling after it would reveal the angle.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from s2m2.random import StepStream, generator_for
from s2m2.recipe import AugmentConfig, DataConfig

CROP_ATTEMPTS = 10
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness of a color (ITU-R BT.601)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class UniformNumbers:
    """Random numbers from 0 to 1 of a batch, from which its parameters follow."""

    area: Float[Tensor, "batch attempt"]
    ratio: Float[Tensor, "batch attempt"]
    top: Float[Tensor, " batch"]
    left: Float[Tensor, " batch"]
    flip: Float[Tensor, " batch"]
    jitter: Float[Tensor, "batch 3"]

    @classmethod
    def sample(cls, batch_size: int, generator: torch.Generator) -> "UniformNumbers":
        """Those of `batch_size` images, on the generator's device."""

        def uniform(*shape: int) -> Tensor:
            return torch.rand(batch_size, *shape, generator=generator, device=generator.device)

        # The order is part of the numbers of a run.
        return cls(
            area=uniform(CROP_ATTEMPTS), ratio=uniform(CROP_ATTEMPTS), top=uniform(), left=uniform(), flip=uniform(), jitter=uniform(3)
        )

    def local(self, stream: StepStream) -> "UniformNumbers":
        """Those of the images of this process."""
        return UniformNumbers(**{name: stream.local(values) for name, values in vars(self).items()})


@dataclass(frozen=True, kw_only=True, eq=False)
class Augmentation:
    """Random parameters of a batch."""

    top: Float[Tensor, " batch"]
    left: Float[Tensor, " batch"]
    height: Float[Tensor, " batch"]
    width: Float[Tensor, " batch"]
    """The crop in pixels of the stored image, whole numbers."""
    flip: Bool[Tensor, " batch"]
    jitter: Float[Tensor, "batch 3"]
    """Factors of brightness, contrast and saturation, in the order of their use."""

    def select(self, indices: Int64[Tensor, " item"], device: torch.device) -> "Augmentation":
        """The parameters of some images, on a device."""
        return Augmentation(**{name: values[indices].to(device, non_blocking=True) for name, values in vars(self).items()})


def augment(
    images: UInt8[Tensor, "batch height width 3"],
    config: DataConfig,
    stream: StepStream,
    view: int = 0,
    proportions: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, "batch 3 size size"]:
    """A random view of each stored image, normalized; another `view` number gives another view of the same images.

    Args:
        proportions: width by height of each image before it was stored, as `augmentation_of` takes them.
    """
    numbers = UniformNumbers.sample(stream.batch_size, stream.generator("augment", view, device=images.device)).local(stream)
    parameters = augmentation_of(numbers, config.augment, images.shape[1], images.shape[2], proportions)
    return normalize(apply_augmentation(images, parameters, config.size), config)


def evaluation_view(images: UInt8[Tensor, "batch height width 3"], config: DataConfig) -> Float[Tensor, "batch 3 size size"]:
    """The images resized to `config.resize_ratio` times the network's size, center-cropped, normalized (S2M2: 92 to 80, 36 to 32)."""
    resized = config.resized_size
    offset = round((resized - config.size) / 2)  # torchvision's, to the pixel where the difference is odd

    def matrix(edge: int) -> Tensor:
        start, length = torch.zeros(1, device=images.device), torch.full((1,), float(edge), device=images.device)
        return resampling(start, length, resized, edge)[:, offset : offset + config.size]

    vertical, horizontal = (matrix(edge) for edge in images.shape[1:3])
    return normalize(_resample(images, vertical.expand(len(images), -1, -1), horizontal.expand(len(images), -1, -1)), config)


def support_crop(
    config: DataConfig, shape: tuple[int, int, int], seed: int, number: int, proportions: Float[Tensor, " image"] | None = None
) -> Callable[[UInt8[Tensor, "batch height width 3"], Int64[Tensor, " batch"]], Float[Tensor, "batch 3 size size"]]:
    """A function from images and their indices to one random view of each, sampled as in training.

    A view depends on the image's index, the seed and the view's number alone, not on the batch.

    Args:
        shape: number, height and width of the stored images.
        proportions: width by height of each image before it was stored, as `augmentation_of` takes them.
    """
    numbers = UniformNumbers.sample(shape[0], generator_for(seed, "support crops", number))
    parameters = augmentation_of(numbers, config.augment, shape[1], shape[2], proportions)

    def view(images: UInt8[Tensor, "batch height width 3"], indices: Int64[Tensor, " batch"]) -> Float[Tensor, "batch 3 size size"]:
        return normalize(apply_augmentation(images, parameters.select(indices, images.device), config.size), config)

    return view


def sample_augmentation(config: AugmentConfig, height: int, width: int, batch_size: int, generator: torch.Generator) -> Augmentation:
    """The parameters of `batch_size` images that were not squeezed, of one stored size."""
    return augmentation_of(UniformNumbers.sample(batch_size, generator), config, height, width)


def augmentation_of(
    numbers: UniformNumbers, config: AugmentConfig, height: int, width: int, proportions: Float[Tensor, " batch"] | None = None
) -> Augmentation:
    """The parameters of images of one stored size, from random numbers.

    The area of a crop is uniform and its ratio log-uniform; the first of ten samples that fits is used, else the largest crop in the
    middle that has an allowed ratio (Szegedy et al., 2015, as in torchvision's `RandomResizedCrop`).

    Args:
        height: of the stored images, in pixels.
        width: the same.
        proportions: width by height of each image before it was squeezed to the stored size; None: that of the stored size. The ratio of a
            crop is that in the image, so that a crop of a squeezed image is what the same crop of the image would be, squeezed.
    """

    def between(low: float, high: float, values: Tensor) -> Tensor:
        return values * (high - low) + low

    lowest, highest = config.ratio
    area = between(*config.scale, numbers.area) * height * width
    ratio = between(*_logarithms(config.ratio), numbers.ratio).exp()
    stretch = torch.ones((), device=ratio.device) if proportions is None else proportions[:, None] * (height / width)
    ratio = ratio / stretch
    widths, heights = (area * ratio).sqrt().round().clamp_min(1), (area / ratio).sqrt().round().clamp_min(1)
    fits = (widths <= width) & (heights <= height)
    first = fits.int().argmax(dim=1, keepdim=True)
    any_fits = fits.any(dim=1)
    whole = (stretch * (width / height)).expand(len(area), 1)[:, 0]
    allowed = whole.clamp(lowest, highest) / whole
    middle_width = (width * allowed.clamp_max(1)).round().clamp_min(1)  # of an image that is a hundred times as long as high
    middle_height = (height / allowed.clamp_min(1)).round().clamp_min(1)
    crop_width = torch.where(any_fits, widths.gather(1, first)[:, 0], middle_width)
    crop_height = torch.where(any_fits, heights.gather(1, first)[:, 0], middle_height)

    def offset(random: Tensor, free: Tensor) -> Tensor:
        return torch.where(any_fits, (random * (free + 1)).floor().clamp_max(free), (free / 2).floor())

    return Augmentation(
        top=offset(numbers.top, height - crop_height),
        left=offset(numbers.left, width - crop_width),
        height=crop_height,
        width=crop_width,
        flip=numbers.flip < config.flip,
        jitter=between(1 - config.jitter, 1 + config.jitter, numbers.jitter),
    )


def apply_augmentation(
    images: UInt8[Tensor, "batch height width 3"], parameters: Augmentation, size: int
) -> Float[Tensor, "batch 3 size size"]:
    """Crop, resize with antialiasing, flip and jitter; values from 0 to 1."""
    vertical = resampling(parameters.top, parameters.height, size, images.shape[1])
    horizontal = resampling(parameters.left, parameters.width, size, images.shape[2])
    horizontal = torch.where(parameters.flip[:, None, None], horizontal.flip(1), horizontal)
    values = _resample(images, vertical, horizontal)
    brightness, contrast, saturation = parameters.jitter.T[:, :, None, None, None]
    values.mul_(brightness).clamp_(0, 1)
    values.lerp_(_luma(values).mean(dim=(2, 3), keepdim=True), 1 - contrast).clamp_(0, 1)
    return values.lerp_(_luma(values), 1 - saturation).clamp_(0, 1)


def resampling(start: Float[Tensor, " batch"], length: Float[Tensor, " batch"], size: int, edge: int) -> Float[Tensor, "batch size edge"]:
    """Matrices that resize the interval [start, start + length) of `edge` pixels to `size` pixels.

    Linear interpolation with antialiasing: a triangle as wide as an output pixel where the interval shrinks, or as an input pixel
    where it grows, cut at the ends of the interval and normalized.
    """
    scale = (length / size)[:, None, None]
    outputs = torch.arange(size, device=start.device)[None, :, None]
    inputs = torch.arange(edge, device=start.device)[None, None, :] + 0.5
    first, last = start[:, None, None], (start + length)[:, None, None]
    centers = first + (outputs + 0.5) * scale
    # In place here and below: on a CPU each new tensor costs more than the computation.
    weights = (inputs - centers).abs_().div_(scale.clamp_min(1)).neg_().add_(1).clamp_min_(0)
    weights.mul_((inputs > first) & (inputs < last))
    return weights.div_(weights.sum(dim=2, keepdim=True))


def normalize(values: Float[Tensor, "batch 3 height width"], config: DataConfig) -> Float[Tensor, "batch 3 height width"]:
    """Subtract the mean and divide by the standard deviation of each channel."""
    mean, std = config.normalization
    return (values - _channels(mean, values.device)).div_(_channels(std, values.device))


@lru_cache
def _channels(numbers: tuple[float, ...], device: torch.device) -> Tensor:
    """A number per channel, copied to the device once: a copy in every step would make the host wait."""
    return torch.tensor(numbers, device=device)[:, None, None]


@lru_cache
def _logarithms(numbers: tuple[float, float]) -> tuple[float, float]:
    """In single precision, as in torchvision."""
    low, high = torch.tensor(numbers).log().tolist()
    return low, high


def _resample(
    images: UInt8[Tensor, "batch height width 3"],
    vertical: Float[Tensor, "batch size height"],
    horizontal: Float[Tensor, "batch size width"],
) -> Float[Tensor, "batch 3 size size"]:
    batch, height, width, channels = images.shape
    size = vertical.shape[1]
    values = images.reshape(batch, height, width * channels).to(vertical.dtype).mul_(1 / 255)
    values = (vertical @ values).reshape(batch, size, width, channels).permute(0, 3, 1, 2).reshape(batch, channels * size, width)
    return (values @ horizontal.mT).reshape(batch, channels, size, size)


def _luma(values: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1 height width"]:
    red, green, blue = values.split(1, dim=1)
    return (LUMA[0] * red).add_(LUMA[1] * green).add_(LUMA[2] * blue)
