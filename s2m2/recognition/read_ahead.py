"""Images of every kind, read ahead by threads and made ready for a network. One that cannot be read becomes a reason, not a stop."""

import hashlib
import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor

from s2m2.data.decode import ImageFile, decode_reduced
from s2m2.data.inputs import channels_last, read_image, split_images
from s2m2.errors import InputError
from s2m2.io import expanded
from s2m2.recognition.extractors import Extractor
from s2m2.recognition.preprocessing import Preprocessing
from s2m2.recognition.support import thumbnail

AHEAD = 4
"""Images that each thread may have read and not handed over."""
MAX_THREADS = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadImage:
    """An image ready for a network, or the reason why there is none."""

    name: str
    values: Float32[Tensor, "3 size size"] | None
    reason: str = ""
    """One line; empty where the image was read."""
    digest: str = ""
    """SHA-256 of `values`, where asked for."""
    thumbnail: bytes = b""
    """A small JPEG, where asked for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureBatch:
    """Some images in order, and the features of those that could be read."""

    images: tuple[ReadImage, ...]
    features: Float32[Tensor, "readable dim"]

    @property
    def readable(self) -> list[int]:
        """Positions of the images with features."""
        return [position for position, image in enumerate(self.images) if not image.reason]


def feature_batches(
    images: Iterable[Any], extractor: Extractor, *, batch_size: int, keep: bool = False, threads: int | None = None
) -> Iterator[FeatureBatch]:
    """Features of images in order, batch by batch.

    While a GPU computes, the next images are read. A CPU does one after the other, each on all cores: side by side they would wait for
    each other.

    Args:
        images: paths, Pillow images, arrays or tensors of one image each; consumed as needed, so a long list costs no memory.
        keep: with digests and thumbnails.
        threads: that read; None: one per CPU core, up to 16.
    """
    workers = threads or min(os.cpu_count() or 1, MAX_THREADS)
    ahead = batch_size + AHEAD * workers if extractor.device.type != "cpu" else 0
    reader = _Reader(extractor.preprocessing, keep)
    numbered = enumerate(images)
    with ThreadPoolExecutor(workers, thread_name_prefix="read") as pool:
        waiting: deque[Future[ReadImage]] = deque()

        def read(count: int) -> None:
            waiting.extend(pool.submit(reader, image, number) for number, image in islice(numbered, max(count, 0)))

        try:
            read(batch_size)
            while waiting:
                ready = [waiting.popleft().result() for _ in range(min(batch_size, len(waiting)))]
                read(ahead - len(waiting))
                values = [image.values for image in ready if image.values is not None]
                features = extractor(values) if values else torch.empty(0, extractor.dim)
                yield FeatureBatch(images=tuple(_without_values(image) for image in ready), features=features)
                read(batch_size - len(waiting))
        finally:
            pool.shutdown(cancel_futures=True)


def _without_values(image: ReadImage) -> ReadImage:
    """The pixels are of no more use, and many of them would fill the memory."""
    return ReadImage(name=image.name, values=None, reason=image.reason, digest=image.digest, thumbnail=image.thumbnail)


class _Reader:
    def __init__(self, preprocessing: Preprocessing, keep: bool) -> None:
        self.preprocessing, self.keep = preprocessing, keep

    def __call__(self, image: Any, number: int) -> ReadImage:
        name = str(image) if isinstance(image, str | Path) else f"images[{number}]"
        try:
            pixels = read_pixels(image, name, self.preprocessing.resized)
        except InputError as error:
            return ReadImage(name=name, values=None, reason=str(error))
        except Exception as error:  # Pillow's exception for a damaged image depends on its format.
            return ReadImage(
                name=name, values=None, reason=f"{name} cannot be read: {' '.join(str(error).split()) or type(error).__name__}"
            )
        values = self.preprocessing(pixels)
        digest = hashlib.sha256(values.numpy().tobytes()).hexdigest() if self.keep else ""
        return ReadImage(name=name, values=values, digest=digest, thumbnail=thumbnail(pixels) if self.keep else b"")


def read_pixels(image: Any, name: str, size: int) -> UInt8[np.ndarray, "height width 3"]:
    """One image as RGB bytes; a large JPEG file is decoded at a fraction of its size, at twice `size` at least.

    Raises:
        InputError: there is no such file, it is no image, or the values are of no use.
    """
    if isinstance(image, str | Path):
        path = expanded(image)
        match kind_of(path):
            case "file":
                return decode_reduced(ImageFile(path=path), size)
            case kind:
                raise InputError(f"{name}: {'this folder cannot be read' if kind == 'folder' else 'there is no such file'}")
    if isinstance(image, Tensor | np.ndarray):
        return read_image(channels_last(image, name, axes=(3,)), name)
    if isinstance(image, Image.Image):
        return read_image(image, name)
    raise InputError(f"{name} is of type {type(image).__name__}, but must be a path, a Pillow image or an array")


def kind_of(path: Path) -> Literal["file", "folder"] | None:
    """What a path names; None: nothing.

    Raises:
        InputError: it cannot be told, as the name is too long or a folder above is closed.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # no file can have a name with a zero byte
        return None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else None


def as_items(images: Any) -> Sequence[Any]:
    """The single images of an argument; see `s2m2.data.inputs.split_images`.

    Raises:
        InputError: there is no image, or an array has other axes; or it is a folder.
    """
    if isinstance(images, str | Path) and kind_of(expanded(images)) == "folder":
        raise InputError(
            f'X is the folder {images}, but must be files here: sorted(Path("{images}").rglob("*.jpg")) lists those of a folder'
        )
    return split_images(images)
