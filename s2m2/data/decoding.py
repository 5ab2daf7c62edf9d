"""From a picture file of any kind to a square of RGB bytes."""

from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from s2m2.data.picture import Box, Picture
from s2m2.errors import InputError

Fit = Literal["squash", "crop"]
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


def decode_picture(picture: Picture, side: int, fit: Fit = "squash") -> UInt8[np.ndarray, "side side 3"]:
    """A picture as a square of RGB bytes.

    It is turned as its EXIF data say; see-through parts are put on white; 16-bit grey keeps its upper byte; of an animation the
    first picture counts.

    Args:
        side: of the square, in pixels.
        fit: what becomes of a picture that is not square. squash: it is squeezed, as S2M2 does, so that nothing is cut off; crop: its
            centre square is kept, so that nothing is out of proportion.

    Raises:
        InputError: the file is no picture, is damaged or cut short, or has floating-point pixels.
    """
    try:
        with picture.open() as image:
            if image.format == "JPEG" and picture.box is None:
                # Decodes a large picture at a fraction of its size, though no smaller than twice what is needed.
                image.draft(None, (2 * side, 2 * side))
            rgb = _part_that_counts(image, picture)
            if rgb.size != (side, side):
                rgb = rgb.resize((side, side), RESAMPLING, _centre_square(rgb.size) if fit == "crop" else None)
            return np.rot90(np.asarray(rgb), picture.quarter_turns)
    except Exception as error:  # What Pillow raises for a damaged file depends on its kind.
        raise _unreadable(picture, error) from error


def decode_whole(picture: Picture) -> UInt8[np.ndarray, "height width 3"]:
    """A picture as RGB bytes at the size that it is stored in; everything else is as in `decode_picture`.

    Raises:
        InputError: the file is no picture, is damaged or cut short, or has floating-point pixels.
    """
    try:
        with picture.open() as image:
            return np.rot90(np.asarray(_part_that_counts(image, picture)), picture.quarter_turns)
    except Exception as error:  # What Pillow raises for a damaged file depends on its kind.
        raise _unreadable(picture, error) from error


def _part_that_counts(image: Image.Image, picture: Picture) -> Image.Image:
    image.load()
    # The box is cut out first: it counts pixels as they are stored.
    part = image if picture.box is None else image.crop(_inside(picture.box, image.size))
    ImageOps.exif_transpose(part, in_place=True)
    return _rgb(part)


def _inside(box: Box, size: tuple[int, int]) -> Box:
    """The part of a box that lies in the picture, where no more than the rounding of its edges lies outside."""
    if box[2] > size[0] + 1 or box[3] > size[1] + 1:
        raise ValueError(f"its box ends at {box[2]}x{box[3]}, outside its {size[0]}x{size[1]} pixels")
    return box[0], box[1], min(box[2], size[0]), min(box[3], size[1])


def _centre_square(size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Edges of the largest square in the middle; resizing it alone is resizing the short side and then cropping, without the rounding."""
    width, height = size
    side = min(size)
    left, upper = (width - side) / 2, (height - side) / 2
    return left, upper, left + side, upper + side


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating-point pixels have no agreed white")
    if image.mode in SIXTEEN_BIT_MODES:
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _unreadable(picture: Picture, error: Exception) -> InputError:
    if isinstance(error, UnidentifiedImageError):
        reason = "no picture, or of a kind that Pillow does not know"
    else:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return InputError(f"cannot read picture {picture.name}: {reason}")
