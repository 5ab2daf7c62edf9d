"""What an inspection notes of one image. Imports no torch, as every process that looks at images imports this module."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from PIL import UnidentifiedImageError

from s2m2.data.decoding import decode_whole
from s2m2.data.image import ImageFile, ListedImage
from s2m2.errors import InputError

LEVELS = np.arange(256, dtype=np.float64) / 255
HASH_BYTES = 16
"""Of SHA-256, the fastest safe hash where the processor has instructions for it; 128 bits tell any number of images apart."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """An image after its pixels are forgotten."""

    digest: bytes = bytes(HASH_BYTES)
    """Of size and decoded pixels."""
    reason: str | None = None
    """Why it cannot be read; everything else is without meaning then."""
    constant: bool = False
    """Whether all pixels have one color."""
    gray: bool = False
    """Whether red, green and blue are equal everywhere."""
    size: tuple[int, int] = (0, 0)
    """Width and height in pixels."""
    moments: Float64[np.ndarray, "2 3"] = field(default_factory=lambda: np.zeros((2, 3)))
    """Mean, and mean square, of red, green and blue on a scale of 0 to 1."""


def look_at_images(images: Sequence[ListedImage]) -> list[Look]:
    """Decode images, each as a whole; damaged ones are noted."""
    looks = []
    for image in images:
        try:
            looks.append(look_at(decode_whole(image)))
        except InputError as error:
            looks.append(Look(reason=_reason(image, error)))
    return looks


def look_at(image: UInt8[np.ndarray, "height width 3"]) -> Look:
    """Note what is to be known of an image."""
    height, width = image.shape[:2]
    digest = hashlib.sha256(f"{width}x{height}:".encode())
    digest.update(np.ascontiguousarray(image).data)
    histogram = np.stack([np.bincount(image[..., channel].ravel(), minlength=256) for channel in range(3)])
    return Look(
        digest=digest.digest()[:HASH_BYTES],
        constant=bool((histogram.max(axis=1) == width * height).all()),
        gray=_is_grey(image, histogram),
        size=(width, height),
        moments=np.stack([histogram @ LEVELS, histogram @ LEVELS**2]) / (width * height),
    )


def _is_grey(image: UInt8[np.ndarray, "height width 3"], histogram: Int64[np.ndarray, "3 256"]) -> bool:
    # Equal histograms are quick to refute, and only few color images get past them.
    alike = (histogram[0] == histogram[1]).all() and (histogram[0] == histogram[2]).all()
    return bool(alike and (image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all())


def _reason(image: ListedImage, error: InputError) -> str:
    """What is wrong, without the path that the message of the error also has."""
    if isinstance(image, ImageFile) and image.path.is_file() and image.path.stat().st_size == 0:
        return "the file is empty"
    if isinstance(error.__cause__, UnidentifiedImageError):
        return "the content is that of no image"
    return " ".join(str(error.__cause__ or error).split()) or type(error.__cause__).__name__
