"""Images in whatever form a caller has them, as RGB bytes: arrays, tensors, files, Pillow images."""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps

from s2m2.data.decode import ImageFile, StoredImage, decode_whole
from s2m2.errors import InputError

CHANNELS = 3
TOLERANCE = 1e-6
"""Excess over [0, 1] that rounding may give to floating-point images."""
PNG_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGBA", "I", "I;16", "F"})
"""Modes of Pillow whose conversion to RGB follows the rules for files: white behind transparency, upper byte of 16 bits, no floats."""


def split_images(images: Any) -> list[Any]:
    """The single images of an argument `images`, none of them read or converted yet.

    One image is a path, a Pillow image or an array of three axes; several are an array of four axes or an iterable of single images.
    Arrays and tensors become NumPy arrays "height width 3": the axis of length 3 is the channel. Where both could be (3 x W x 3),
    NumPy arrays count as channels-last and tensors as channels-first, as is usual for each.

    Raises:
        InputError: there is no image, or an array has other axes.
    """
    if isinstance(images, str | Path | Image.Image):
        return [images]
    if isinstance(images, np.ndarray | torch.Tensor):
        array = channels_last(images, "images")
        singles = list(array) if array.ndim == 4 else [array]
    elif isinstance(images, Iterable) and not isinstance(images, Mapping | bytes):
        singles = [
            channels_last(image, f"images[{number}]", axes=(3,)) if isinstance(image, np.ndarray | torch.Tensor) else image
            for number, image in enumerate(images)
        ]
    else:
        raise InputError(
            f"images is of type {type(images).__name__}, but must be an array, a tensor, a path, a Pillow image, or a list of these"
        )
    if not singles:
        raise InputError("images is empty")
    return singles


def read_image(image: Any, name: str) -> UInt8[np.ndarray, "height width 3"]:
    """One item of `split_images` as RGB bytes.

    Floating-point images, from 0 to 1, are rounded to 256 levels, as stored images have them. Files and Pillow images are turned as
    their EXIF data say; transparent parts are put on white; 16-bit gray keeps its upper byte.

    Args:
        name: of the item, for messages.

    Raises:
        InputError: the file is missing or no image, or the values are of another type, not finite or out of range.
    """
    if isinstance(image, str | Path):
        if not Path(image).is_file():
            raise InputError(f"{name}: there is no file {image}")
        return decode_whole(ImageFile(path=Path(image)))
    if isinstance(image, Image.Image):
        return _read_pillow(image, name)
    if isinstance(image, np.ndarray):
        return _read_array(image, name)
    raise InputError(f"{name} is of type {type(image).__name__}, but must be an array, a tensor, a path or a Pillow image")


def channels_last(images: np.ndarray | torch.Tensor, name: str, axes: tuple[int, ...] = (3, 4)) -> np.ndarray:
    """A batch "image height width 3" or an image "height width 3"; see `split_images`.

    Raises:
        InputError: it has other axes, or is empty.
    """
    channels_first = isinstance(images, torch.Tensor)
    array = images.detach().cpu() if isinstance(images, torch.Tensor) else images
    if isinstance(array, torch.Tensor):
        array = (array.float() if array.dtype == torch.bfloat16 else array).numpy()
    shape = " x ".join(map(str, array.shape))
    if array.ndim not in axes:
        raise InputError(f"{name} has shape {shape or '()'}; an image is height x width x 3 or 3 x height x width")
    if array.size == 0:
        raise InputError(f"{name} is empty: its shape is {shape}")
    first, last = array.shape[-3] == CHANNELS, array.shape[-1] == CHANNELS
    if not first and not last:
        raise InputError(f"{name} has shape {shape}, without the three channels of RGB at the front or at the end; convert it to RGB first")
    return np.moveaxis(array, -3, -1) if first and (channels_first or not last) else array


def _read_array(image: np.ndarray, name: str) -> UInt8[np.ndarray, "height width 3"]:
    if image.dtype == np.uint8:
        return image
    if not np.issubdtype(image.dtype, np.floating):
        raise InputError(f"{name} has values of type {image.dtype}; pass uint8 from 0 to 255, or floats from 0 to 1")
    low, high = float(image.min()), float(image.max())
    if not np.isfinite([low, high]).all():
        raise InputError(f"{name} has values that are not finite")
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        fix = "divide them by 255, or pass uint8" if low >= 0 and high <= 255 else "pass images before normalization"
        raise InputError(f"{name} has floats from {low:.4g} to {high:.4g}, but floats must be from 0 to 1; {fix}")
    return np.rint(image.astype(np.float64).clip(0, 1) * 255).astype(np.uint8)


def _read_pillow(image: Image.Image, name: str) -> UInt8[np.ndarray, "height width 3"]:
    try:
        turned = ImageOps.exif_transpose(image)
        if turned.mode not in PNG_MODES:
            return np.asarray(turned.convert("RGB"))
        if turned.mode == "F":
            raise InputError(f"{name} has floating-point pixels, which have no agreed white; convert it to RGB first")
        content = io.BytesIO()
        turned.save(content, "PNG")
    except OSError as error:  # a file cut short, which Pillow reads only now
        raise InputError(f"{name} cannot be read: {error}") from error
    return decode_whole(StoredImage(archive=Path(name), index=0, content=content.getvalue()))
