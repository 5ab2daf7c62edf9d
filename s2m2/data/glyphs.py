"""The embedded dataset: colored, slanted, textured, noisy images of characters, drawn on first use.

The fonts are the DejaVu Sans and Serif faces of matplotlib, so nothing is downloaded. Everything is a function of the seed; each class
has its own random stream, in float64, so that rounding to bytes hides last-bit differences between processors and numbers of threads.
"""

import hashlib
import math
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float64, UInt8
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from torch import Tensor

from s2m2.console import progress_bar
from s2m2.data.dataset import ImageDataset, Split, dataset_digest, open_dataset, user_cache
from s2m2.data.writing import DatasetContents, writing_dataset
from s2m2.errors import InputError
from s2m2.random import generator_for
from s2m2.threads import one_thread

DRAWING = 1
"""Version of the drawing; raise it with every change of the images, so that cached ones are drawn again."""
BASE_FRACTION, VALIDATION_FRACTION = 0.64, 0.16
SUPERSAMPLING = 2
"""Factor by which characters are drawn larger, then averaged down, which smooths their edges."""
BAR_FROM = 2000
"""Number of images from which drawing is slow enough for a progress bar."""
FACES = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSans-BoldOblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "DejaVuSerif-BoldItalic",
)
COMPARED_FACES = (0, 4)
"""Upright sans and upright serif, in which characters are compared."""
FIRST, LAST = 0x370, 0x25FF
"""Greek to geometric shapes; Latin letters, before them, are too familiar."""
FONT_PIXELS = 64
MIN_LENGTHS = (22, 34)
"""Minimum of the shorter and of the longer edge of a character in pixels; superscripts, dots and bars are smaller."""
MAX_FILLED = 0.9
"""Maximum fraction of ink in a character's box; filled boxes look alike once they are stretched."""
COMPARED_SIZE, BLUR = 16, 0.8
"""Size in pixels of compared characters, and the radius of their blur."""
MAX_SIMILARITY = 0.75
"""Maximum correlation of two chosen characters; identical ones (Greek and Cyrillic A) have 1."""
MAX_SYMMETRY = 0.7
"""Maximum correlation of a chosen character with a rotation of itself; a circle has 1."""


def glyph_dataset(
    cache_dir: Path | None = None, *, seed: int = 0, classes: int = 100, images_per_class: int = 120, size: int = 32
) -> ImageDataset:
    """The glyphs from the cache, or drawn into it. A cached dataset that is incomplete or altered is drawn again.

    Args:
        cache_dir: folder of cached datasets; None: `user_cache()`.
        seed: of the images.
        classes: number of characters, split 64 : 16 : 20 into base, validation and novel.
        images_per_class: images of each.
        size: height and width of the images in pixels.

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

    The seed varies the images alone: characters and splits are always the same.

    Raises:
        InputError: the numbers make no dataset.
    """
    settings = _settings(seed, classes, images_per_class, size)
    characters = choose_characters(classes)
    images = np.concatenate(list(_draw_classes(characters, settings)))
    labels, names, splits = np.repeat(np.arange(classes), images_per_class), tuple(map(class_name, characters)), _splits(classes)
    digest = dataset_digest(images, labels, names, splits, settings)
    return ImageDataset(name="glyphs", images=images, labels=labels, class_names=names, splits=splits, digest=digest, settings=settings)


def choose_characters(count: int) -> tuple[str, ...]:
    """The first `count` characters of a fixed list, in which no two look alike.

    Candidates are the letters and symbols of all faces except letters with accents and tiny signs. In a fixed random order, each one
    is chosen unless it resembles an earlier one, or a rotation of itself, so that class and rotation can both be told. Characters are
    compared at equal size in all four rotations and flipped, as training shows them: an arrow to the left equals one upwards.

    Raises:
        InputError: there are not so many such characters.
    """
    chosen: list[str] = []
    shapes = np.empty((0, len(COMPARED_FACES), COMPARED_SIZE, COMPARED_SIZE))
    for character, shape in _compared_candidates():
        if len(chosen) == count:
            break
        views = np.stack([np.rot90(flipped, rotations, (-2, -1)) for flipped in (shape, shape[..., ::-1]) for rotations in range(4)])
        symmetry = np.einsum("vfyx,fyx->vf", views[1:4], shape).mean(1).max()
        similarity = np.einsum("cfyx,vfyx->cvf", shapes, views).max(initial=0.0)
        if symmetry <= MAX_SYMMETRY and similarity <= MAX_SIMILARITY:
            chosen.append(character)
            shapes = np.concatenate([shapes, shape[None]])
    if len(chosen) < count:
        raise InputError(f"the fonts have {len(chosen)} characters that do not look alike, fewer than the {count} glyph classes asked for")
    return tuple(chosen)


def class_name(character: str) -> str:
    """Code point and Unicode name, such as `U+03B1 greek small letter alpha`."""
    return f"U+{ord(character):04X} {unicodedata.name(character).lower()}"


def glyph_shapes(character: str, size: int, longest: int) -> UInt8[np.ndarray, "face size size"]:
    """A character in all faces, white on black, centered, its longer edge stretched to `longest` pixels."""
    return np.stack([_centered(_ink(character, face), size, longest) for face in range(len(FACES))])


def _settings(seed: int, classes: int, images_per_class: int, size: int) -> dict[str, Any]:
    for name, value, minimum in (("seed", seed, 0), ("classes", classes, 3), ("images_per_class", images_per_class, 1), ("size", size, 16)):
        if value < minimum:
            raise InputError(f"glyphs: {name} is {value}, but must be {minimum} or more")
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
    # Of several processes of one run, one draws; the others wait for its dataset.
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
    # The list of characters is in random order, so neighbors are no more similar than others.
    base, validation = max(1, round(BASE_FRACTION * classes)), max(1, round(VALIDATION_FRACTION * classes))
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
    """Images of one character, each with its own face, position, slant, colors and texture."""
    sampler = _Sampler(count, generator)
    ink = _warped(shapes[torch.arange(count) % len(FACES)], size, sampler)
    paper, color = _colors(sampler)
    texture = _texture(size, sampler)
    first, second = paper, (paper + sampler.uniform(-0.4, 0.4, 3)).clamp(0, 1)
    image = torch.lerp(first[..., None, None], second[..., None, None], texture)
    shade = 1 + sampler.uniform(-0.2, 0.2)[..., None, None] * _gradient(size, sampler)
    image = torch.lerp(image, (color[..., None, None] * shade).clamp(0, 1), ink)
    image = image + sampler.uniform(0.05, 0.3)[..., None, None] * (torch.rand(image.shape, generator=generator) - 0.5)
    return (image.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


class _Sampler:
    """Uniform random numbers, one or more per image, with a channel axis."""

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self.count = count
        self.generator = generator

    def uniform(self, low: float, high: float, channels: int = 1) -> Float64[Tensor, "image channel"]:
        """Numbers in [low, high)."""
        return low + (high - low) * torch.rand(self.count, channels, generator=self.generator, dtype=torch.float64)


def _warped(shapes: Float64[Tensor, "image large large"], size: int, sampler: _Sampler) -> Float64[Tensor, "image 1 size size"]:
    """The shapes rotated by up to 15 degrees, so that rotations by 90 degrees remain distinct, slanted, stretched and moved."""
    angle, shear = sampler.uniform(-math.pi / 12, math.pi / 12), sampler.uniform(-0.3, 0.3)
    scale, stretch = sampler.uniform(0.65, 1.1), sampler.uniform(0.85, 1.15)
    across, down = scale * stretch, scale / stretch
    cos, sin, shift = angle.cos(), angle.sin(), sampler.uniform(-0.2, 0.2, 2)
    large = shapes.shape[-1]
    axis = (torch.arange(large, dtype=torch.float64) * 2 + 1) / large - 1
    right, below = axis[None, None, :], axis[None, :, None]
    # For each pixel its position in the shape: the inverse of the transform.
    columns = (cos / across)[..., None] * right + ((shear * cos - sin) / across)[..., None] * below + shift[:, 0, None, None]
    rows = (sin / down)[..., None] * right + ((shear * sin + cos) / down)[..., None] * below + shift[:, 1, None, None]
    warped = F.grid_sample(shapes[:, None], torch.stack([columns, rows], dim=-1), align_corners=False)
    return F.avg_pool2d(warped, large // size)


def _colors(sampler: _Sampler) -> tuple[Float64[Tensor, "image 3"], Float64[Tensor, "image 3"]]:
    """Colors of paper and ink: any two that differ by 0.25 to 0.6 in brightness, either one the brighter."""
    paper = sampler.uniform(0.0, 1.0, 3)
    brightness = paper.mean(dim=1, keepdim=True)
    difference = sampler.uniform(0.25, 0.6)
    target = torch.where(sampler.uniform(0.3, 0.7) > brightness, brightness + difference, brightness - difference)
    ink = sampler.uniform(0.0, 1.0, 3)
    return paper, (ink + target - ink.mean(dim=1, keepdim=True)).clamp(0, 1)


def _texture(size: int, sampler: _Sampler) -> Float64[Tensor, "image 1 size size"]:
    """Texture of the paper, from 0 to 1: a gradient, stripes or clouds, each on a third of the images."""
    gradient = 0.5 + 0.5 * _gradient(size, sampler)
    stripes = (
        0.5
        + 0.5
        * (sampler.uniform(4.0, 14.0)[..., None, None] * _gradient(size, sampler) + sampler.uniform(0.0, math.tau)[..., None, None]).sin()
    )
    coarse = torch.rand(sampler.count, 1, 6, 6, generator=sampler.generator, dtype=torch.float64)
    clouds = F.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=True)
    kind = sampler.uniform(0.0, 3.0).long()[..., None, None]
    return torch.where(kind == 0, gradient, torch.where(kind == 1, stripes, clouds))


def _gradient(size: int, sampler: _Sampler) -> Float64[Tensor, "image 1 size size"]:
    """A ramp from -1 to 1 at most, in a random direction for each image."""
    direction = sampler.uniform(0.0, math.tau)[..., None, None]
    axis = torch.linspace(-1, 1, size, dtype=torch.float64) / math.sqrt(2)
    return direction.cos() * axis[None, None, None, :] + direction.sin() * axis[None, None, :, None]


@lru_cache(maxsize=1)
def _compared_candidates() -> list[tuple[str, Float64[np.ndarray, "face size size"]]]:
    # The order of hashes is random, and the same in every release of every library.
    shuffled = sorted(_candidates(), key=lambda character: hashlib.sha256(character.encode()).digest())
    return [shape for shape in map(_compared_shape, shuffled) if shape is not None]


def _candidates() -> list[str]:
    maps = [set(FT2Font(str(_font_file(face))).get_charmap()) for face in range(len(FACES))]
    shared = (chr(code) for code in sorted(set.intersection(*maps)) if FIRST <= code <= LAST)
    return [sign for sign in shared if unicodedata.category(sign)[0] in "LS" and not unicodedata.decomposition(sign)]


def _compared_shape(character: str) -> tuple[str, Float64[np.ndarray, "face size size"]] | None:
    """The character with its shapes at zero mean and unit norm; None if it is blank, tiny or a filled box."""
    shapes = []
    for face in COMPARED_FACES:
        ink = _ink(character, face)
        if min(ink.size) < MIN_LENGTHS[0] or max(ink.size) < MIN_LENGTHS[1]:
            return None
        if np.asarray(ink).mean() > MAX_FILLED * 255:
            return None
        # Blurred, so that a stroke moved by a pixel counts as almost the same.
        blurred = Image.fromarray(_centered(ink, COMPARED_SIZE, COMPARED_SIZE)).filter(ImageFilter.GaussianBlur(BLUR))
        pixels = np.asarray(blurred).astype(np.float64)
        pixels -= pixels.mean()
        shapes.append(pixels / np.linalg.norm(pixels))
    return character, np.stack(shapes)


def _ink(character: str, face: int) -> Image.Image:
    """The character cut to its ink; an empty image if there is none."""
    canvas = Image.new("L", (4 * FONT_PIXELS, 4 * FONT_PIXELS))
    ImageDraw.Draw(canvas).text((FONT_PIXELS, FONT_PIXELS), character, font=_font(face), fill=255)
    return canvas.crop(canvas.getbbox() or (0, 0, 0, 0))


def _centered(ink: Image.Image, size: int, longest: int) -> UInt8[np.ndarray, "size size"]:
    # Even lengths in an even square, so that a rotated shape has the same pixels.
    width, height = (2 * max(1, round(length * longest / max(ink.size) / 2)) for length in ink.size)
    canvas = Image.new("L", (size, size))
    canvas.paste(ink.resize((width, height), Image.Resampling.BILINEAR), ((size - width) // 2, (size - height) // 2))
    return np.asarray(canvas)


def _font_file(face: int) -> Path:
    return Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{FACES[face]}.ttf"


@lru_cache(maxsize=len(FACES))
def _font(face: int) -> ImageFont.FreeTypeFont:
    # The basic layout is in every build of Pillow; the complex one is not, and places some letters differently.
    return ImageFont.truetype(str(_font_file(face)), FONT_PIXELS, layout_engine=ImageFont.Layout.BASIC)
