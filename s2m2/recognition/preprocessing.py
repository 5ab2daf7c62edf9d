"""From an image of any size to the input of a network: square, linear resize with antialiasing, center crop, normalization.

Plain tensor operations with sizes that depend on the image alone, so that an ONNX file can hold the same.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
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
        values = torch.from_numpy(square(image, self.fit).copy()).permute(2, 0, 1)[None].float()
        if values.shape[-2:] != (self.resized, self.resized):
            # float, as Pillow's rounding between its two passes would be lost in an ONNX file
            values = F.interpolate(values, size=(self.resized, self.resized), mode="bilinear", antialias=True, align_corners=False)
        start = (self.resized - self.size) // 2
        values = values[0, :, start : start + self.size, start : start + self.size].div(255)
        return values.sub_(torch.tensor(self.mean)[:, None, None]).div_(torch.tensor(self.std)[:, None, None])

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
