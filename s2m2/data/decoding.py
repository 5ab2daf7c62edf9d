"""From a picture file of any kind to a square of RGB bytes."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from s2m2.data.picture import Picture
from s2m2.errors import InputError

RESAMPLING = Image.Resampling.BICUBIC
"""Pillow widens the filter when it shrinks, so nothing aliases; bicubic rings less at edges than Lanczos, blurs less than bilinear."""
SIXTEEN_BIT_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})


def picture_size(picture: Picture) -> tuple[int, int]:
    """Width and height in pixels of the part of a picture that counts, from the head of its file.

    Raises:
        InputError: the file is no picture.
    """
    try:
        with picture.open() as image:
            if picture.box is None:
                return image.size
            left, upper, right, lower = picture.box
            return right - left, lower - upper
    except Exception as error:  # What Pillow raises for a damaged file depends on its kind.
        raise _unreadable(picture, error) from error


def decode_picture(picture: Picture, side: int) -> UInt8[np.ndarray, "side side 3"]:
    """A picture as a square of RGB bytes; a picture that is not square is squeezed, as S2M2 does, so that nothing is cut off.

    It is turned as its EXIF data say; see-through parts are put on white; 16-bit grey keeps its upper byte; of an animation the
    first picture counts.

    Raises:
        InputError: the file is no picture, is damaged or cut short, or has floating-point pixels.
    """
    try:
        with picture.open() as image:
            if image.format == "JPEG" and picture.box is None:
                # Decodes a large picture at a fraction of its size, though no smaller than twice what is needed.
                image.draft(None, (2 * side, 2 * side))
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            rgb = _rgb(image if picture.box is None else image.crop(picture.box))
            if rgb.size != (side, side):
                rgb = rgb.resize((side, side), RESAMPLING)
            return np.rot90(np.asarray(rgb), picture.quarter_turns)
    except Exception as error:  # What Pillow raises for a damaged file depends on its kind.
        raise _unreadable(picture, error) from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating-point pixels have no agreed white")
    if image.mode in SIXTEEN_BIT_MODES:
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return image.convert("RGB")


def _unreadable(picture: Picture, error: Exception) -> InputError:
    return InputError(f"cannot read picture {picture.name}: {' '.join(str(error).split()) or type(error).__name__}")
