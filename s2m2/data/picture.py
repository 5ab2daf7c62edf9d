"""One picture of a listing: where its pixels come from, before anything is opened."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]
"""Left, upper, right and lower edge in pixels of the stored picture; right and lower are the first pixels outside."""
Stamp = tuple[str | int | Box | None, ...]
"""What changes when a picture does, without its pixels being read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureFile:
    """A picture in a file of its own."""

    path: Path
    box: Box | None = None
    """Part that counts; None: all of it."""
    quarter_turns: int = 0
    """Counter-clockwise turns by 90 degrees after everything else."""

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.path)

    def open(self) -> Image.Image:
        """The picture, its pixels not read yet."""
        return Image.open(self.path)

    def stamp(self) -> Stamp:
        """Name, length, time of change, and what counts of it."""
        return self.name, *_file_stamp(self.path), self.box, self.quarter_turns


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoredPicture:
    """A picture inside a larger file, which has been read already."""

    archive: Path
    row: int
    """Place in the archive, from 0."""
    content: np.ndarray | bytes
    """Pixels, uint8 "height width 3", or an encoded picture such as PNG: bytes, or a flat array of them."""
    box: Box | None = None
    quarter_turns: int = 0

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.archive}#{self.row}"

    def open(self) -> Image.Image:
        """The picture."""
        if isinstance(self.content, np.ndarray) and self.content.ndim == 3:
            return Image.fromarray(self.content)
        return Image.open(io.BytesIO(self.content if isinstance(self.content, bytes) else self.content.tobytes()))

    def stamp(self) -> Stamp:
        """Name, length and time of change of the archive, and what counts of the picture."""
        return self.name, *_file_stamp(self.archive), self.box, self.quarter_turns


Picture = PictureFile | StoredPicture


def _file_stamp(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError:
        return -1, -1  # decoding will name it
    return state.st_size, state.st_mtime_ns
