"""From an image of any size to the input of a network: square, linear resize with antialiasing, center crop, normalization.

Plain operations with sizes that depend on the image alone, so that an ONNX file can hold the same.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor

from s2m2.data.decode import Fit


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a network wants its images; equal to `evaluation_view` of a run with the same sizes."""

    fit: Fit
    """crop: the center square of an image; squash: all of it, squeezed."""
    resized: int
    """Edge in pixels after resizing."""
    size: int
    """Edge in pixels of the center crop that the network sees."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    """Mean and standard deviation of the channels, for values from 0 to 1."""

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> Float32[Tensor, "3 size size"]:
        """One RGB image, normalized."""
        inside = slice((self.resized - self.size) // 2, (self.resized - self.size) // 2 + self.size)
        values = np.stack([self._resize(channel)[inside, inside] for channel in np.moveaxis(square(image, self.fit), -1, 0)])
        values /= 255
        values -= np.array(self.mean, dtype=np.float32)[:, None, None]
        values /= np.array(self.std, dtype=np.float32)[:, None, None]
        return torch.from_numpy(values)

    def _resize(self, channel: UInt8[np.ndarray, "height width"]) -> Float32[np.ndarray, "resized resized"]:
        """Linear with antialiasing, in floats: rounding between Pillow's two passes would be lost in an ONNX file.

        Pillow, not torch: threads of torch inside threads that read would hold up the network.
        """
        plane = Image.fromarray(channel.astype(np.float32))
        return np.asarray(plane.resize((self.resized, self.resized), Image.Resampling.BILINEAR))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def square(image: UInt8[np.ndarray, "height width 3"], fit: Fit) -> UInt8[np.ndarray, "_ _ 3"]:
    """The center square of an image, or all of it."""
    if fit == "squash":
        return image
    height, width = image.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    return image[top : top + edge, left : left + edge]
