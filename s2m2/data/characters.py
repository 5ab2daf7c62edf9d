"""The characters of the embedded dataset: which ones are chosen, and their shapes in the eight faces that draw them.

The fonts are the DejaVu Sans and Serif faces that matplotlib ships, so nothing is downloaded.
"""

import hashlib
import unicodedata
from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from jaxtyping import Float64, UInt8
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from s2m2.errors import InputError

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
"""Upright sans and upright serif: what decides whether two characters look alike."""
FIRST, LAST = 0x370, 0x25FF
"""Greek to geometric shapes; before them lie the Latin letters, which people know too well."""
FONT_PIXELS = 64
MIN_SIDES = (22, 34)
"""Least shorter and longer side of a character in pixels; superscripts, dots and bars are smaller."""
MAX_FILLED = 0.9
"""Greatest share of ink in a character's box; a filled box looks like any other one once it is stretched."""
COMPARED_SIZE, BLUR = 16, 0.8
"""Pixels of the images that are compared, and radius of their blur."""
MAX_ALIKE = 0.75
"""Greatest correlation of two chosen characters; identical ones (Greek and Cyrillic A) have 1."""
MAX_SYMMETRIC = 0.7
"""Greatest correlation of a chosen character with a quarter or half turn of itself; a circle has 1."""


def choose_characters(count: int) -> tuple[str, ...]:
    """The first `count` characters of a fixed list, in which no two look alike.

    Candidates are the letters and symbols that all faces draw, but for letters with accents and for tiny signs. They are met in a
    fixed random order, and one is kept unless it resembles an earlier one, or itself turned, so that class and rotation
    can both be told. Two characters are compared at equal size in all four turns and their mirror images, because training
    shows them so: an arrow to the left is no other character than one upwards.

    Raises:
        InputError: there are not so many such characters.
    """
    chosen: list[str] = []
    kept = np.empty((0, len(COMPARED_FACES), COMPARED_SIZE, COMPARED_SIZE))
    for character, shape in _compared_candidates():
        if len(chosen) == count:
            break
        views = np.stack([np.rot90(mirrored, turns, (-2, -1)) for mirrored in (shape, shape[..., ::-1]) for turns in range(4)])
        turned_alike = np.einsum("vfyx,fyx->vf", views[1:4], shape).mean(1).max()
        others_alike = np.einsum("cfyx,vfyx->cvf", kept, views).max(initial=0.0)
        if turned_alike <= MAX_SYMMETRIC and others_alike <= MAX_ALIKE:
            chosen.append(character)
            kept = np.concatenate([kept, shape[None]])
    if len(chosen) < count:
        raise InputError(f"the fonts have {len(chosen)} characters that do not look alike, fewer than the {count} glyph classes asked for")
    return tuple(chosen)


def class_name(character: str) -> str:
    """Code point and Unicode name, such as `U+03B1 greek small letter alpha`."""
    return f"U+{ord(character):04X} {unicodedata.name(character).lower()}"


def glyph_shapes(character: str, size: int, longest: int) -> UInt8[np.ndarray, "face size size"]:
    """A character in all faces, white on black, centerd, its longer side stretched to `longest` pixels."""
    return np.stack([_centered(_ink(character, face), size, longest) for face in range(len(FACES))])


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
    """The character with its shapes at zero mean and unit norm; None where it is blank, tiny or a filled box."""
    shapes = []
    for face in COMPARED_FACES:
        ink = _ink(character, face)
        if min(ink.size) < MIN_SIDES[0] or max(ink.size) < MIN_SIDES[1]:
            return None
        if np.asarray(ink).mean() > MAX_FILLED * 255:
            return None
        # Blurred, so that a stroke a pixel further counts as almost the same.
        blurred = Image.fromarray(_centered(ink, COMPARED_SIZE, COMPARED_SIZE)).filter(ImageFilter.GaussianBlur(BLUR))
        pixels = np.asarray(blurred).astype(np.float64)
        pixels -= pixels.mean()
        shapes.append(pixels / np.linalg.norm(pixels))
    return character, np.stack(shapes)


def _ink(character: str, face: int) -> Image.Image:
    """The character cut to its ink; an empty image where there is none."""
    canvas = Image.new("L", (4 * FONT_PIXELS, 4 * FONT_PIXELS))
    ImageDraw.Draw(canvas).text((FONT_PIXELS, FONT_PIXELS), character, font=_font(face), fill=255)
    return canvas.crop(canvas.getbbox() or (0, 0, 0, 0))


def _centered(ink: Image.Image, size: int, longest: int) -> UInt8[np.ndarray, "size size"]:
    # Even lengths in an even square, so that a turned shape lies on the same pixels.
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
