"""Residual networks (He et al., CVPR 2016, arXiv 1512.03385): ResNet-12 as few-shot work uses it, and ResNet-18 for small images."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from s2m2.models.backbone import Backbone

DEFAULT_WIDTH = 64
"""Channels of the first stage of either network."""
SLOPE = 0.1
"""Negative slope of ResNet-12's LeakyReLU."""


def resnet12(width: int | None = None) -> Backbone:
    """Four stages of one block of three convolutions, widths 64, 160, 320 and 640, each halving the size; then the mean over the map.

    This is the form of Lee et al. (CVPR 2019, arXiv 1904.03758), without its DropBlock.

    Args:
        width: channels of the first stage; the later ones keep their proportion to it.
    """
    channels = 3
    stages: list[nn.Sequential] = []
    for full_width in (64, 160, 320, 640):
        out = scaled_width(full_width, width)
        stages.append(nn.Sequential(TripleBlock(channels, out)))
        channels = out
    stages[-1].extend(average_pool())
    return Backbone(stages, channels)


def resnet18(width: int | None = None) -> Backbone:
    """Four stages of two blocks of two convolutions, widths 64, 128, 256 and 512, strides 1, 2, 2 and 2; then the mean over the map.

    The stem is one 3x3 convolution of stride 1 without pooling, so that small images keep their detail; it belongs to the
    first stage.

    Args:
        width: channels of the stem and the first stage; the later ones keep their proportion to it.
    """
    channels = scaled_width(DEFAULT_WIDTH, width)
    stem = nn.Sequential(conv3x3(3, channels), nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
    stages: list[nn.Sequential] = []
    for full_width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        out = scaled_width(full_width, width)
        stages.append(nn.Sequential(BasicBlock(channels, out, stride), BasicBlock(out, out, 1)))
        channels = out
    stages[0] = nn.Sequential(*stem, *stages[0])
    stages[-1].extend(average_pool())
    return Backbone(stages, channels)


class TripleBlock(nn.Module):
    """Three 3x3 convolutions beside a 1x1 shortcut, then LeakyReLU and max-pooling by 2."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            conv3x3(channels, width),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(SLOPE, inplace=True),
            conv3x3(width, width),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(SLOPE, inplace=True),
            conv3x3(width, width),
            nn.BatchNorm2d(width),
        )
        self.shortcut = _projection(channels, width, stride=1)

    def forward(self, values: Float[Tensor, "batch channel size size"]) -> Float[Tensor, "batch out size//2 size//2"]:
        """Half the size, `width` channels."""
        return F.max_pool2d(F.leaky_relu_(self.branch(values) + self.shortcut(values), SLOPE), 2)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is the identity unless width or stride change; then ReLU."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            conv3x3(channels, width, stride),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            conv3x3(width, width),
            nn.BatchNorm2d(width),
        )
        self.shortcut = nn.Identity() if channels == width and stride == 1 else _projection(channels, width, stride)

    def forward(self, values: Float[Tensor, "batch channel size size"]) -> Float[Tensor, "batch out lower lower"]:
        """The size divided by the stride, rounded up; `width` channels."""
        return F.relu_(self.branch(values) + self.shortcut(values))


def conv3x3(channels: int, width: int, stride: int = 1) -> nn.Conv2d:
    """A padded 3x3 convolution without bias, as batch normalization follows."""
    return nn.Conv2d(channels, width, kernel_size=3, stride=stride, padding=1, bias=False)


def average_pool() -> nn.Sequential:
    """Mean over the map: "batch channel height width" to "batch channel", whatever the size."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def scaled_width(full_width: int, width: int | None) -> int:
    """Channels of a layer that has `full_width` of them in the full network, when the first stage has `width` instead of 64."""
    return full_width if width is None else full_width * width // DEFAULT_WIDTH


def _projection(channels: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, width, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(width))
