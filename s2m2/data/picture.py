"""One picture of a listing: where its pixels come from, before anything is opened."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]
"""Left, upper, right and lower edge in pixels of the stored picture; right and lower are the first pixels outside."""


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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoredPicture:
    """A picture inside a larger file, which has been read already."""

    archive: Path
    row: int
    """Place in the archive, from 0."""
    content: np.ndarray | bytes
    """Pixels, uint8 "height width 3", or the bytes of an encoded picture such as PNG."""
    box: Box | None = None
    quarter_turns: int = 0

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.archive}#{self.row}"

    def open(self) -> Image.Image:
        """The picture."""
        if isinstance(self.content, np.ndarray):
            return Image.fromarray(self.content)
        return Image.open(io.BytesIO(self.content))


Picture = PictureFile | StoredPicture
