"""Listed images, nothing opened yet, and decoding them to RGB bytes. Imports no torch, as processes that decode import this module."""

import io
import math
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from s2m2.errors import InputError
from s2m2.io import check_regular

Box = tuple[int, int, int, int]
"""Left, upper, right and lower edge in pixels of the stored image; right and lower are the first pixels outside."""
Stamp = tuple[str | int | Box | None, ...]
"""Changes when an image does, and is told without reading its pixels."""
Fit = Literal["squash", "crop"]
Resize = Literal["bilinear", "fast"]
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "fast": Image.Resampling.BICUBIC}
"""Filters, which Pillow widens to shrink, so nothing aliases. Bilinear is torchvision's `Resize`, which published numbers mean."""
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "AVIF", "PPM", "JPEG2000", "TGA", "PCX")
"""Formats of Pillow that are read, whatever the name of a file says. Never EPS or PostScript, for which Pillow starts Ghostscript."""
JPEG_KINDS = ("JPEG", "MPO")
"""Pillow's names of a JPEG; of one that says that further images follow, as cameras and phones write them, it is MPO."""
HUGE_PIXELS, ONE_HUGE = 32 * 10**6, threading.Lock()
"""Decoding an image with more pixels takes up to 20 bytes of memory for each of them: one at a time in a process."""
HEIF_SUFFIXES = frozenset({".heic", ".heif"})
"""Of photos as phones of Apple write them, which Pillow reads with the help of another package."""
MAX_MEGAPIXELS = 50.0
"""Size of an image that is decoded, in millions of pixels, unless the caller says otherwise: a gigabyte of memory in a process."""
BITS = 16
"""Of gray values in files that have room for more than 8."""
SPARE_BITS = 4
"""Gray values that leave as many bits of a 16-bit file unused are of fewer bits: a camera's 12, or 8."""
DEEP = ";16"
"""In what Pillow says of the raw pixels of a file, if each number has 16 bits."""
SIXTEEN_BIT_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What is accepted of image files, and what their numbers mean."""

    max_megapixels: float = MAX_MEGAPIXELS
    """Largest image, in millions of pixels. Decoding takes up to 20 bytes of memory for each pixel."""
    gray_bits: int | None = None
    """Bits of gray values in files of 16 and 32 bits, white being the largest number of as many. None: 16, and an image is refused whose
    values are all below a sixteenth of that, as those of 8 and 12 bits are."""


USUAL = Reading()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFile:
    """An image in a file of its own."""

    path: Path
    box: Box | None = None
    """The part that counts; None: all of it."""
    rot90: int = 0
    """Counter-clockwise rotations by 90 degrees after everything else."""

    @property
    def name(self) -> str:
        """Name in messages."""
        return str(self.path)

    def open(self) -> Image.Image:
        """The image, its pixels not read yet.

        Raises:
            InputError: it is a pipe or a device, which might never end.
        """
        check_regular(self.path)
        if self.path.suffix.lower() in HEIF_SUFFIXES:
            _register_heif()
            return Image.open(self.path, formats=("HEIF",))
        return Image.open(self.path, formats=FORMATS)

    def stamp(self) -> Stamp:
        """Name, length and modification time of the file, box and rotation."""
        return self.name, *_file_stamp(self.path), self.box, self.rot90


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """Bytes of a larger file, read when the image is opened."""

    start: int
    """Offset in the file, in bytes."""
    shape: tuple[int, ...]
    """Height, width and 3 of pixels; of an encoded image its length in bytes alone."""

    def read(self, archive: Path) -> np.ndarray:
        """The bytes in their shape.

        Raises:
            EOFError: the file has become too short.
            OSError: it cannot be read.
        """
        length = math.prod(self.shape)
        with archive.open("rb") as file:
            file.seek(self.start)
            content = file.read(length)
        if len(content) < length:
            raise EOFError("the file has become shorter")
        return np.frombuffer(content, dtype=np.uint8).reshape(self.shape)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoredImage:
    """An image inside a larger file."""

    archive: Path
    index: int
    """Position in the archive, from 0."""
    content: np.ndarray | bytes | Extent
    """Pixels, uint8 "height width 3", or an encoded image such as PNG as bytes or a flat array; or where it is in the archive."""
    box: Box | None = None
    rot90: int = 0

    @property
    def name(self) -> str:
        """Name in messages."""
        return f"{self.archive}#{self.index}"

    def open(self) -> Image.Image:
        """The image."""
        content = self.content.read(self.archive) if isinstance(self.content, Extent) else self.content
        if isinstance(content, np.ndarray) and content.ndim == 3:
            return Image.fromarray(content)
        return Image.open(io.BytesIO(content if isinstance(content, bytes) else content.tobytes()), formats=FORMATS)

    def stamp(self) -> Stamp:
        """Name of the image, length and modification time of the archive, box and rotation."""
        return self.name, *_file_stamp(self.archive), self.box, self.rot90


ListedImage = ImageFile | StoredImage


def image_size(image: ListedImage) -> tuple[int, int]:
    """Width and height in pixels of the part of an image that counts, from the header of its file.

    Raises:
        InputError: the file is no image.
    """
    try:
        with image.open() as opened:
            if image.box is None:
                return opened.size
            left, upper, right, lower = image.box
            return right - left, lower - upper
    except Exception as error:  # Pillow's exception for a damaged file depends on its format.
        raise _unreadable(image, error) from error


class Square(NamedTuple):
    """An image as a square of RGB bytes."""

    pixels: UInt8[np.ndarray, "size size 3"]
    proportion: float
    """Width by height of what was squeezed to the square."""


def decode_image(
    image: ListedImage, size: int, fit: Fit = "squash", resize: Resize = "bilinear", reading: Reading = USUAL
) -> UInt8[np.ndarray, "size size 3"]:
    """The pixels of `decode_square`."""
    return decode_square(image, size, fit, resize, reading).pixels


def decode_square(image: ListedImage, size: int, fit: Fit = "squash", resize: Resize = "bilinear", reading: Reading = USUAL) -> Square:
    """An image as a square of RGB bytes.

    EXIF orientation is applied; transparency is put on white; 16-bit gray keeps its upper byte; of an animation the first image counts.
    With `squash` and `bilinear` the pixels are those of torchvision's `Resize((size, size))` of the image as Pillow decodes it.

    Args:
        size: of the square, in pixels.
        fit: for images that are not square. squash: squeezed, as in S2M2, so that nothing is cut off; crop: the center square, so that
            nothing is out of proportion.
        resize: bilinear: the whole image is decoded, and resized as in S2M2; fast: a large JPEG is decoded at a fraction of its size,
            at twice `size` at least, and resized bicubically.

    Raises:
        InputError: the file is no image, is damaged or cut short, too large, or has pixels without an agreed white.
    """
    try:
        with image.open() as opened:
            if resize == "fast" and opened.format in JPEG_KINDS and image.box is None:
                _draft(opened, 2 * size)
            check_pixels(opened, reading.max_megapixels)
            with _turn(opened):
                rgb = upright_rgb(opened, image.box, reading)
                width, height = rgb.size if fit == "squash" else (1, 1)
                if rgb.size != (size, size):
                    rgb = rgb.resize((size, size), RESAMPLING[resize], _center_square(rgb.size) if fit == "crop" else None)
                return Square(np.rot90(np.asarray(rgb), image.rot90), height / width if image.rot90 % 2 else width / height)
    except Exception as error:  # Pillow's exception for a damaged file depends on its format.
        raise _unreadable(image, error) from error


def decode_reduced(image: ListedImage, size: int) -> UInt8[np.ndarray, "height width 3"]:
    """As `decode_whole`; a JPEG is decoded at a fraction of its size, 1/2 to 1/8, where its short side stays at twice `size` at least.

    Args:
        size: that the image will be resized to, in pixels.
    """
    try:
        with image.open() as opened:
            if opened.format in JPEG_KINDS and image.box is None:
                _draft(opened, 2 * size)
            check_pixels(opened, MAX_MEGAPIXELS)
            with _turn(opened):
                return np.rot90(np.asarray(upright_rgb(opened, image.box)), image.rot90)
    except Exception as error:  # Pillow's exception for a damaged file depends on its format.
        raise _unreadable(image, error) from error


def decode_whole(image: ListedImage, reading: Reading = USUAL) -> UInt8[np.ndarray, "height width 3"]:
    """An image as RGB bytes at its stored size; everything else as in `decode_image`.

    Raises:
        InputError: the file is no image, is damaged or cut short, too large, or has pixels without an agreed white.
    """
    try:
        with image.open() as opened:
            check_pixels(opened, reading.max_megapixels)
            with _turn(opened):
                return np.rot90(np.asarray(upright_rgb(opened, image.box, reading)), image.rot90)
    except Exception as error:  # Pillow's exception for a damaged file depends on its format.
        raise _unreadable(image, error) from error


def _draft(opened: Image.Image, size: int) -> None:
    """Let a large JPEG be decoded at a fraction of its size, but at `size` pixels at least on both sides."""
    opened.draft(None, (size, size))


def check_pixels(opened: Image.Image, max_megapixels: float) -> None:
    """Raise `ValueError` if decoding would take more memory than an image is allowed to."""
    if opened.width * opened.height > max_megapixels * 1e6:
        size = f"{opened.width:,} x {opened.height:,} pixels"
        raise ValueError(f"its {size} are more than {max_megapixels:g} megapixels (--max_megapixels of s2m2 prepare and doctor)")


def _turn(opened: Image.Image) -> AbstractContextManager[object]:
    """What to hold while an image is decoded: huge ones take turns, others wait for nothing."""
    return ONE_HUGE if opened.width * opened.height > HUGE_PIXELS else nullcontext()


def upright_rgb(opened: Image.Image, box: Box | None = None, reading: Reading = USUAL) -> Image.Image:
    """An opened image as RGB, turned as its EXIF data say; the rules are those of `decode_image`."""
    is_deep = opened.mode in ("RGB", "RGBA", "LA") and any(DEEP in str(tile) for tile in getattr(opened, "tile", ()))
    opened.load()
    if is_deep:
        _check_deep(opened)
    # The box is cut out first: it counts pixels as they are stored.
    part = opened if box is None else opened.crop(_inside(box, opened.size))
    ImageOps.exif_transpose(part, in_place=True)
    return _rgb(part, reading.gray_bits)


def _inside(box: Box, size: tuple[int, int]) -> Box:
    """The part of a box inside the image, if no more than the rounding of its edges is outside."""
    if box[2] > size[0] + 1 or box[3] > size[1] + 1:
        raise ValueError(f"its box ends at {box[2]}x{box[3]}, outside its {size[0]}x{size[1]} pixels")
    return box[0], box[1], min(box[2], size[0]), min(box[3], size[1])


def _center_square(shape: tuple[int, int]) -> tuple[float, float, float, float]:
    """Edges of the largest square in the middle; resizing it equals resizing the short side and cropping, without the rounding."""
    width, height = shape
    size = min(shape)
    left, upper = (width - size) / 2, (height - size) / 2
    return left, upper, left + size, upper + size


def _rgb(opened: Image.Image, gray_bits: int | None) -> Image.Image:
    if opened.mode == "F":
        raise ValueError("floating-point pixels have no agreed white")
    if opened.mode in SIXTEEN_BIT_MODES:
        return Image.fromarray(_eight_bits(np.asarray(opened), gray_bits)).convert("RGB")
    if opened.has_transparency_data:
        image = opened.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return opened if opened.mode == "RGB" else opened.convert("RGB")


def _eight_bits(gray: Integer[np.ndarray, "height width"], bits: int | None) -> UInt8[np.ndarray, "height width"]:
    """The upper byte of gray values that a file has in 16 or 32 bits."""
    low, high = int(gray.min()), int(gray.max())
    if low < 0:
        raise ValueError(f"gray values from {low:,} to {high:,} have no agreed black")
    if high >= 1 << (bits or BITS):
        raise ValueError(
            f"it has gray values up to {high:,}, more than {bits or BITS} bits; --gray_bits {max(8, high.bit_length())} takes them"
        )
    if bits is None and 0 < high < 1 << BITS - SPARE_BITS:
        depth = max(8, high.bit_length() + high.bit_length() % 2)
        black = f"which would be {'black' if high < 256 else 'almost black'} as the {BITS} bits of the file"
        raise ValueError(f"its gray values end at {high:,}, {black}; s2m2 prepare takes them with --gray_bits {depth}, or {BITS}")
    return (gray >> (bits or BITS) - 8).astype(np.uint8)


def _check_deep(opened: Image.Image) -> None:
    """Refuse colors of 16 bits that are of 8 or 12: Pillow has left their upper bytes only."""
    if np.asarray(opened)[..., : 1 if opened.mode == "LA" else 3].max() < 1 << 8 - SPARE_BITS:
        raise ValueError(f"its colors of {BITS} bits are all black or almost so, as those of 8 or 12 bits are; save it with 8 bits a color")


@cache
def _register_heif() -> None:
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise InputError("needs the package pillow-heif: pip install 's2m2[heic]'") from error
    register_heif_opener()


def _unreadable(image: ListedImage, error: Exception) -> InputError:
    if isinstance(error, UnidentifiedImageError):
        reason = "no image, or of a kind that Pillow does not know"
    elif isinstance(error, Image.DecompressionBombError):
        reason = f"it has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels"
    else:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return InputError(f"cannot read image {image.name}: {reason}")


def _file_stamp(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError:
        return -1, -1  # decoding will name it
    return state.st_size, state.st_mtime_ns
