"""The embedded dataset: colored, slanted, textured, noisy images of characters, drawn on first use.

Everything is drawn from the seed, a class at a time from a stream of its own, in float64, so that rounding to bytes hides
the last-bit differences between processors and between numbers of threads.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float64, UInt8
from torch import Tensor

from s2m2.console import progress_bar
from s2m2.data.cache import user_cache
from s2m2.data.characters import FACES, choose_characters, class_name, glyph_shapes
from s2m2.data.dataset import ImageDataset, Split, dataset_digest, open_dataset
from s2m2.data.writing import DatasetContents, writing_dataset
from s2m2.errors import InputError
from s2m2.seeding import generator_for
from s2m2.threads import one_thread

DRAWING = 1
"""Version of the drawing; to be raised with every change of the images, so that cached ones are drawn anew."""
BASE_SHARE, VALIDATION_SHARE = 0.64, 0.16
SUPERSAMPLING = 2
"""Characters are drawn this much larger and averaged down, which smooths their edges."""
BAR_FROM = 2000
"""Images from which drawing takes long enough for a progress bar."""


def glyph_dataset(
    cache_dir: Path | None = None, *, seed: int = 0, classes: int = 100, images_per_class: int = 120, size: int = 32
) -> ImageDataset:
    """The glyphs from the cache, or drawn and put there. A cached dataset that is incomplete or altered is drawn anew.

    Args:
        cache_dir: where datasets are cached; None: the folder in the environment variable S2M2_CACHE, else the user's cache folder.
        seed: of the images.
        classes: number of characters, split 64 : 16 : 20 into base, validation and novel.
        images_per_class: images of each.
        size: side of an image in pixels.

    Raises:
        InputError: the numbers make no dataset, or the cache cannot be written.
    """
    settings = _settings(seed, classes, images_per_class, size)
    folder = (cache_dir or user_cache()) / f"glyphs-v{DRAWING}-seed{seed}-{classes}x{images_per_class}-{size}px"
    dataset = _cached(folder, settings)
    if dataset is not None:
        return dataset
    return _draw_into(folder, settings)


def draw_glyphs(seed: int = 0, classes: int = 100, images_per_class: int = 120, size: int = 32) -> ImageDataset:
    """The glyphs in memory, class after class; equal arguments give equal bytes.

    Characters and splits are the same for every seed, which varies the images alone.

    Raises:
        InputError: the numbers make no dataset.
    """
    settings = _settings(seed, classes, images_per_class, size)
    characters = choose_characters(classes)
    images = np.concatenate(list(_draw_classes(characters, settings)))
    labels, names, splits = np.repeat(np.arange(classes), images_per_class), tuple(map(class_name, characters)), _splits(classes)
    digest = dataset_digest(images, labels, names, splits, settings)
    return ImageDataset(name="glyphs", images=images, labels=labels, class_names=names, splits=splits, digest=digest, settings=settings)


def _settings(seed: int, classes: int, images_per_class: int, size: int) -> dict[str, Any]:
    for name, value, least in (("seed", seed, 0), ("classes", classes, 3), ("images_per_class", images_per_class, 1), ("size", size, 16)):
        if value < least:
            raise InputError(f"glyphs: {name} is {value}, but must be {least} or more")
    return {"drawing": DRAWING, "seed": seed, "classes": classes, "images_per_class": images_per_class, "size": size}


def _cached(folder: Path, settings: dict[str, Any]) -> ImageDataset | None:
    try:
        dataset = open_dataset(folder)
    except (InputError, LookupError, TypeError, AttributeError):
        return None
    digest = dataset_digest(dataset.images, dataset.labels, dataset.class_names, dataset.splits, dataset.settings)
    return dataset if dataset.settings == settings and dataset.digest == digest else None


def _draw_into(folder: Path, settings: dict[str, Any]) -> ImageDataset:
    classes, each, size = settings["classes"], settings["images_per_class"], settings["size"]
    characters = choose_characters(classes)
    contents = DatasetContents(
        name="glyphs",
        size=(size, size),
        labels=np.repeat(np.arange(classes), each),
        class_names=tuple(map(class_name, characters)),
        splits=_splits(classes),
        settings=settings,
    )
    # Several processes of one run may come here together: one draws, the others wait for it and then find its dataset.
    with writing_dataset(folder, contents, overwrite=True, wait=True) as writer:
        dataset = _cached(folder, settings)
        if dataset is not None:
            return dataset
        with progress_bar("drawing glyphs", classes * each, "images", shown=classes * each >= BAR_FROM) as advance:
            for images in _draw_classes(characters, settings):
                writer.append(images)
                advance(each)
        return writer.finish()


def _splits(classes: int) -> dict[Split, tuple[int, ...]]:
    # The list of characters is in random order, so neighbors are no more alike than others.
    base, validation = max(1, round(BASE_SHARE * classes)), max(1, round(VALIDATION_SHARE * classes))
    numbers = tuple(range(classes))
    return {"base": numbers[:base], "validation": numbers[base : base + validation], "novel": numbers[base + validation :]}


def _draw_classes(characters: tuple[str, ...], settings: dict[str, Any]) -> Iterator[UInt8[np.ndarray, "image size size 3"]]:
    size = settings["size"]
    large = SUPERSAMPLING * size
    for character in characters:
        shapes = torch.from_numpy(glyph_shapes(character, large, round(0.72 * large))).double() / 255
        generator = generator_for(settings["seed"], "glyphs", ord(character))
        with one_thread():
            images = _draw(shapes, settings["images_per_class"], size, generator)
        yield images


def _draw(
    shapes: Float64[Tensor, "face large large"], count: int, size: int, generator: torch.Generator
) -> UInt8[np.ndarray, "image size size 3"]:
    """Images of one character, each in a face, place, slant, colors and texture of its own."""
    draw = _Draw(count, generator)
    ink = _warped(shapes[torch.arange(count) % len(FACES)], size, draw)
    paper, color = _colors(draw)
    texture = _texture(size, draw)
    first, second = paper, (paper + draw.uniform(-0.4, 0.4, 3)).clamp(0, 1)
    image = torch.lerp(first[..., None, None], second[..., None, None], texture)
    shade = 1 + draw.uniform(-0.2, 0.2)[..., None, None] * _gradient(size, draw)
    image = torch.lerp(image, (color[..., None, None] * shade).clamp(0, 1), ink)
    image = image + draw.uniform(0.05, 0.3)[..., None, None] * (torch.rand(image.shape, generator=generator) - 0.5)
    return (image.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


class _Draw:
    """Uniform numbers, one or more an image, with a channel axis."""

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self.count = count
        self.generator = generator

    def uniform(self, low: float, high: float, channels: int = 1) -> Float64[Tensor, "image channel"]:
        """Numbers in [low, high)."""
        return low + (high - low) * torch.rand(self.count, channels, generator=self.generator, dtype=torch.float64)


def _warped(shapes: Float64[Tensor, "image large large"], size: int, draw: _Draw) -> Float64[Tensor, "image 1 size size"]:
    """The shapes rotated by up to 15 degrees, so that rotations remain told apart, slanted, stretched and moved."""
    angle, shear = draw.uniform(-math.pi / 12, math.pi / 12), draw.uniform(-0.3, 0.3)
    scale, stretch = draw.uniform(0.65, 1.1), draw.uniform(0.85, 1.15)
    across, down = scale * stretch, scale / stretch
    cos, sin, shift = angle.cos(), angle.sin(), draw.uniform(-0.2, 0.2, 2)
    large = shapes.shape[-1]
    axis = (torch.arange(large, dtype=torch.float64) * 2 + 1) / large - 1
    right, below = axis[None, None, :], axis[None, :, None]
    # For each pixel the place in the shape that it shows: the inverse of what happens to the shape.
    columns = (cos / across)[..., None] * right + ((shear * cos - sin) / across)[..., None] * below + shift[:, 0, None, None]
    rows = (sin / down)[..., None] * right + ((shear * sin + cos) / down)[..., None] * below + shift[:, 1, None, None]
    drawn = F.grid_sample(shapes[:, None], torch.stack([columns, rows], dim=-1), align_corners=False)
    return F.avg_pool2d(drawn, large // size)


def _colors(draw: _Draw) -> tuple[Float64[Tensor, "image 3"], Float64[Tensor, "image 3"]]:
    """Colors of paper and ink: any two whose brightness differs by 0.25 to 0.6, either one the brighter."""
    paper = draw.uniform(0.0, 1.0, 3)
    brightness = paper.mean(dim=1, keepdim=True)
    difference = draw.uniform(0.25, 0.6)
    wanted = torch.where(draw.uniform(0.3, 0.7) > brightness, brightness + difference, brightness - difference)
    ink = draw.uniform(0.0, 1.0, 3)
    return paper, (ink + wanted - ink.mean(dim=1, keepdim=True)).clamp(0, 1)


def _texture(size: int, draw: _Draw) -> Float64[Tensor, "image 1 size size"]:
    """What the paper looks like, from 0 to 1: a gradient, stripes or clouds, each on a third of the images."""
    gradient = 0.5 + 0.5 * _gradient(size, draw)
    stripes = (
        0.5 + 0.5 * (draw.uniform(4.0, 14.0)[..., None, None] * _gradient(size, draw) + draw.uniform(0.0, math.tau)[..., None, None]).sin()
    )
    coarse = torch.rand(draw.count, 1, 6, 6, generator=draw.generator, dtype=torch.float64)
    clouds = F.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=True)
    kind = draw.uniform(0.0, 3.0).long()[..., None, None]
    return torch.where(kind == 0, gradient, torch.where(kind == 1, stripes, clouds))


def _gradient(size: int, draw: _Draw) -> Float64[Tensor, "image 1 size size"]:
    """A ramp from -1 to 1 at most, in a direction of its own for each image."""
    direction = draw.uniform(0.0, math.tau)[..., None, None]
    axis = torch.linspace(-1, 1, size, dtype=torch.float64) / math.sqrt(2)
    return direction.cos() * axis[None, None, None, :] + direction.sin() * axis[None, None, :, None]
