"""From an image file of any kind to a square of RGB bytes."""

from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from s2m2.data.image import Box, ListedImage
from s2m2.errors import InputError

Fit = Literal["squash", "crop"]
RESAMPLING = Image.Resampling.BICUBIC
"""Pillow widens the filter when it shrinks, so nothing aliases; bicubic rings less at edges than Lanczos, blurs less than bilinear."""
SIXTEEN_BIT_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})


def image_size(image: ListedImage) -> tuple[int, int]:
    """Width and height in pixels of the part of an image that counts, from the head of its file.

    Raises:
        InputError: the file is no image.
    """
    try:
        with image.open() as opened:
            if image.box is None:
                return opened.size
            left, upper, right, lower = image.box
            return right - left, lower - upper
    except Exception as error:  # What Pillow raises for a damaged file depends on its kind.
        raise _unreadable(image, error) from error


def decode_image(image: ListedImage, size: int, fit: Fit = "squash") -> UInt8[np.ndarray, "size size 3"]:
    """An image as a square of RGB bytes.

    It is turned as its EXIF data say; see-through parts are put on white; 16-bit gray keeps its upper byte; of an animation the
    first image counts.

    Args:
        size: of the square, in pixels.
        fit: what becomes of an image that is not square. squash: it is squeezed, as S2M2 does, so that nothing is cut off; crop: its
            center square is kept, so that nothing is out of proportion.

    Raises:
        InputError: the file is no image, is damaged or cut short, or has floating-point pixels.
    """
    try:
        with image.open() as opened:
            if opened.format == "JPEG" and image.box is None:
                # Decodes a large image at a fraction of its size, though no smaller than twice what is needed.
                opened.draft(None, (2 * size, 2 * size))
            rgb = _part_that_counts(opened, image)
            if rgb.size != (size, size):
                rgb = rgb.resize((size, size), RESAMPLING, _center_square(rgb.size) if fit == "crop" else None)
            return np.rot90(np.asarray(rgb), image.rot90)
    except Exception as error:  # What Pillow raises for a damaged file depends on its kind.
        raise _unreadable(image, error) from error


def decode_whole(image: ListedImage) -> UInt8[np.ndarray, "height width 3"]:
    """An image as RGB bytes at the size that it is stored in; everything else is as in `decode_image`.

    Raises:
        InputError: the file is no image, is damaged or cut short, or has floating-point pixels.
    """
    try:
        with image.open() as opened:
            return np.rot90(np.asarray(_part_that_counts(opened, image)), image.rot90)
    except Exception as error:  # What Pillow raises for a damaged file depends on its kind.
        raise _unreadable(image, error) from error


def _part_that_counts(opened: Image.Image, image: ListedImage) -> Image.Image:
    opened.load()
    # The box is cut out first: it counts pixels as they are stored.
    part = opened if image.box is None else opened.crop(_inside(image.box, opened.size))
    ImageOps.exif_transpose(part, in_place=True)
    return _rgb(part)


def _inside(box: Box, size: tuple[int, int]) -> Box:
    """The part of a box that lies in the image, where no more than the rounding of its edges lies outside."""
    if box[2] > size[0] + 1 or box[3] > size[1] + 1:
        raise ValueError(f"its box ends at {box[2]}x{box[3]}, outside its {size[0]}x{size[1]} pixels")
    return box[0], box[1], min(box[2], size[0]), min(box[3], size[1])


def _center_square(shape: tuple[int, int]) -> tuple[float, float, float, float]:
    """Edges of the largest square in the middle; resizing it alone is resizing the short side and then cropping, without the rounding."""
    width, height = shape
    size = min(shape)
    left, upper = (width - size) / 2, (height - size) / 2
    return left, upper, left + size, upper + size


def _rgb(opened: Image.Image) -> Image.Image:
    if opened.mode == "F":
        raise ValueError("floating-point pixels have no agreed white")
    if opened.mode in SIXTEEN_BIT_MODES:
        return Image.fromarray((np.asarray(opened).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if opened.has_transparency_data:
        image = opened.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return opened if opened.mode == "RGB" else opened.convert("RGB")


def _unreadable(image: ListedImage, error: Exception) -> InputError:
    if isinstance(error, UnidentifiedImageError):
        reason = "no image, or of a kind that Pillow does not know"
    else:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return InputError(f"cannot read image {image.name}: {reason}")
