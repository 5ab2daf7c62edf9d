"""Checksums of the images of a dataset, a piece at a time: each piece is checked when its first image is read, and not before."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64, UInt8

from s2m2.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

CHUNK_BYTES = 1 << 18
"""Of a chunk, if that is more than one image: small enough that one image costs a quarter of a millisecond at most, large enough that
the checksums of 20 GB are a megabyte of text."""
CHECKSUM_BYTES = 8
"""Kept of each SHA-256. It is to find damage; the digest of the dataset tells datasets apart."""
ATTRIBUTE = "checked_chunks"
"""Of a tensor of images that knows its checksums."""


class ChunkSums:
    """The checksums of images that come in order, in pieces of any length."""

    def __init__(self, image_bytes: int) -> None:
        self.images = max(1, CHUNK_BYTES // image_bytes)
        """Images of a chunk."""
        self._length, self._hash, self._filled = self.images * image_bytes, hashlib.sha256(), 0
        self._finished: list[str] = []

    def update(self, images: UInt8[np.ndarray, "image height width 3"]) -> None:
        """Take the next images."""
        content = np.ascontiguousarray(images).reshape(-1).data
        while len(content):
            piece, content = content[: self._length - self._filled], content[self._length - self._filled :]
            self._hash.update(piece)
            self._filled += len(piece)
            if self._filled == self._length:
                self._finish()

    def text(self) -> str:
        """All checksums so far, one after the other, hexadecimal; to be called once, behind the last image."""
        if self._filled:
            self._finish()
        return "".join(self._finished)

    def _finish(self) -> None:
        self._finished.append(self._hash.digest()[:CHECKSUM_BYTES].hex())
        self._hash, self._filled = hashlib.sha256(), 0


class CheckedChunks:
    """The images of a dataset and the checksums that they must have."""

    def __init__(self, images: UInt8[np.ndarray, "image height width 3"], per_chunk: int, sums: str, path: Path) -> None:
        """Read nothing yet.

        Args:
            per_chunk: images of a chunk.
            sums: as `ChunkSums.text`.
            path: of the images, for messages.

        Raises:
            ValueError: there are not as many checksums as chunks.
        """
        self._images, self._per_chunk, self._path = images, per_chunk, path
        self._sums = np.frombuffer(bytes.fromhex(sums), dtype="<u8")
        if per_chunk < 1 or len(self._sums) != -(-len(images) // per_chunk):
            raise ValueError(f"there are {len(self._sums):,} checksums of {len(images):,} images")
        self._waiting = np.ones(len(self._sums), dtype=np.bool_)
        self._all_checked = False

    def check(self, indices: Int64[np.ndarray, " item"] | Sequence[int]) -> None:
        """Check the chunks of these images, unless they were checked before in this process.

        Raises:
            InputError: an image is not the one that was written.
        """
        if self._all_checked:
            return
        chunks = np.unique(np.asarray(indices, dtype=np.int64) // self._per_chunk)
        for chunk in chunks[self._waiting[chunks]].tolist():
            first, last = chunk * self._per_chunk, min((chunk + 1) * self._per_chunk, len(self._images))
            found = hashlib.sha256(self._images[first:last].data).digest()[:CHECKSUM_BYTES]
            if int.from_bytes(found, "little") != self._sums[chunk]:
                which = f"images {first:,} to {last - 1:,} are" if last - first > 1 else f"image {first:,} is"
                raise InputError(f"{self._path} is damaged: {which} not as written, by the checksum; prepare the dataset again")
            self._waiting[chunk] = False
        self._all_checked = not self._waiting.any()


def check_images(images: "Tensor", indices: "Tensor | None" = None) -> None:
    """Check the images at some indices of `ImageDataset.image_tensor`, or all of them, before they are used; other tensors pass.

    Raises:
        InputError: an image is not the one that was written.
    """
    chunks: CheckedChunks | None = getattr(images, ATTRIBUTE, None)
    if chunks is not None:
        chunks.check(np.arange(len(images)) if indices is None else indices.cpu().numpy())
