"""Bytes from a stranger to pixels: formats from a list, and the number of pixels checked before any is decoded."""

import hashlib
import io
import threading
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from s2m2.console import count
from s2m2.data.decode import JPEG_KINDS, upright_rgb
from s2m2.errors import InputError
from s2m2.recognition.preprocessing import Preprocessing
from s2m2.recognition.serving.limits import MEGA
from s2m2.recognition.support import thumbnail

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""Pillow's names of what is decoded. Others are not even tried: the one for PostScript starts a program."""
FORMAT_NAMES = "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
SCAN, MAX_SCANS = b"\xff\xda", 200
"""Marker of a scan of a JPEG; each is a pass over all pixels, and a file of a few kilobytes can have thousands."""
LARGE_PIXELS, ONE_LARGE = 16 * MEGA, threading.Lock()
"""Photos with more decoded pixels take hundreds of megabytes each: one at a time."""
BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


@dataclass(frozen=True, kw_only=True, eq=False)
class Photo:
    """A photo ready for the network."""

    values: Float32[Tensor, "3 size size"]
    digest: str
    """SHA-256 of `values`, as `Support` has it."""
    thumbnail: bytes
    """A small JPEG, where asked for."""


def read_photo(content: bytes, preprocessing: Preprocessing, max_pixels: int, *, keep: bool) -> Photo:
    """A photo from the bytes of its file.

    Args:
        keep: with digest and thumbnail.

    Raises:
        InputError: it is of another format, too large, or damaged; the message goes to whoever sent it.
    """
    with ExitStack() as held:
        pixels = decode(content, max_pixels, preprocessing.resized, held)
        values = preprocessing(pixels)
        small = thumbnail(pixels) if keep else b""
    digest = hashlib.sha256(values.numpy().tobytes()).hexdigest() if keep else ""
    return Photo(values=values, digest=digest, thumbnail=small)


def decode(content: bytes, max_pixels: int, size: int, held: ExitStack) -> UInt8[np.ndarray, "height width 3"]:
    """RGB pixels; a large JPEG is decoded at a fraction of its size, at twice `size` at least.

    Args:
        held: gets the lock of large photos, if this is one, until the caller needs their pixels no more.
    """
    if not content:
        raise InputError("the file is empty")
    if content[4:8] == b"ftyp" and content[8:12] in HEIC_BRANDS:
        raise InputError(f"HEIC is not taken; save the photo as {FORMAT_NAMES}")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            _check_cost(opened, content, max_pixels)
            if opened.format in JPEG_KINDS:
                opened.draft(None, (2 * size, 2 * size))
            if opened.width * opened.height > LARGE_PIXELS:
                held.enter_context(ONE_LARGE)
            return np.asarray(upright_rgb(opened))
    except InputError:
        raise
    except BOMBS as error:
        raise InputError(_too_large(max_pixels)) from error
    except UnidentifiedImageError as error:
        raise InputError(f"it is no {FORMAT_NAMES}") from error
    except Exception as error:  # Pillow's exception for a damaged file depends on its format
        raise InputError(f"it is damaged: {' '.join(str(error).split()) or type(error).__name__}") from error


def _check_cost(opened: Image.Image, content: bytes, max_pixels: int) -> None:
    if opened.width * opened.height > max_pixels:
        raise InputError(f"{_too_large(max_pixels)}; it has {opened.width:,} x {opened.height:,}")
    if opened.format in JPEG_KINDS and content.count(SCAN) > MAX_SCANS:
        raise InputError(f"it has more than {count(MAX_SCANS, 'scan')}; save it as an ordinary JPEG")


def _too_large(max_pixels: int) -> str:
    return f"a photo may have {max_pixels / MEGA:g} megapixels"
