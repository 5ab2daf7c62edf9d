"""One image of a listing: where its pixels come from, before anything is opened."""

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]
"""Left, upper, right and lower edge in pixels of the stored image; right and lower are the first pixels outside."""
Stamp = tuple[str | int | Box | None, ...]
"""What changes when an image does, without its pixels being read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFile:
    """An image in a file of its own."""

    path: Path
    box: Box | None = None
    """Part that counts; None: all of it."""
    rot90: int = 0
    """Counter-clockwise turns by 90 degrees after everything else."""

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.path)

    def open(self) -> Image.Image:
        """The image, its pixels not read yet."""
        return Image.open(self.path)

    def stamp(self) -> Stamp:
        """Name, length, time of change, and what counts of it."""
        return self.name, *_file_stamp(self.path), self.box, self.rot90


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """Bytes of a larger file, read when the image is opened."""

    start: int
    """Their place in the file, in bytes from its beginning."""
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
    row: int
    """Place in the archive, from 0."""
    content: np.ndarray | bytes | Extent
    """Pixels, uint8 "height width 3", or an encoded image such as PNG: bytes, or a flat array of them; or where in the archive."""
    box: Box | None = None
    rot90: int = 0

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.archive}#{self.row}"

    def open(self) -> Image.Image:
        """The image."""
        content = self.content.read(self.archive) if isinstance(self.content, Extent) else self.content
        if isinstance(content, np.ndarray) and content.ndim == 3:
            return Image.fromarray(content)
        return Image.open(io.BytesIO(content if isinstance(content, bytes) else content.tobytes()))

    def stamp(self) -> Stamp:
        """Name, length and time of change of the archive, and what counts of the image."""
        return self.name, *_file_stamp(self.archive), self.box, self.rot90


ListedImage = ImageFile | StoredImage


def _file_stamp(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError:
        return -1, -1  # decoding will name it
    return state.st_size, state.st_mtime_ns
