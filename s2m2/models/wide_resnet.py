"""WRN-28-10 (Zagoruyko and Komodakis, BMVC 2016, arXiv 1605.07146), the backbone of S2M2's numbers: 36,472,784 parameters."""

from jaxtyping import Float
from torch import Tensor, nn

from s2m2.models.backbone import Backbone
from s2m2.models.resnet import average_pool, conv3x3

STEM_WIDTH = 16
DEFAULT_WIDTH = 160
BLOCKS = 4
"""Blocks per stage: 28 layers are a stem, 3 stages of 4 blocks of 2 convolutions, and 3 counted by convention."""


def wrn28_10(width: int | None = None, dropout: float = 0.0) -> Backbone:
    """Three stages of four pre-activation blocks, then batch normalization, ReLU and the mean over the map.

    The last of the four stages is only that ending, so that a mixture before it is one of the raw output of the third, as in
    S2M2. The stem of 16 channels belongs to the first stage and keeps its width, as in the whole family WRN-28-k.

    Args:
        width: channels of the first stage (160 by default, 10 times the stem's); the later ones have 2 and 4 times as many.
        dropout: probability that a value between the two convolutions of a block is zeroed in training.
    """
    channels = STEM_WIDTH
    width = width or DEFAULT_WIDTH
    stages: list[nn.Sequential] = []
    for out, stride in ((width, 1), (2 * width, 2), (4 * width, 2)):
        first = PreActivationBlock(channels, out, stride, dropout)
        stages.append(nn.Sequential(first, *[PreActivationBlock(out, out, 1, dropout) for _ in range(BLOCKS - 1)]))
        channels = out
    stages[0] = nn.Sequential(conv3x3(3, STEM_WIDTH), *stages[0])
    ending = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True), *average_pool())
    return Backbone([*stages, ending], channels)


class PreActivationBlock(nn.Module):
    """Two 3x3 convolutions, each after batch normalization and ReLU, beside a shortcut.

    Where width or stride change, the shortcut is a 1x1 convolution of the normalized and rectified input; elsewhere it is the
    input itself. Dropout samples from torch's global generator: `nn.Dropout` takes no other.
    """

    def __init__(self, channels: int, width: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.activation = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.branch = nn.Sequential(
            conv3x3(channels, width, stride),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            conv3x3(width, width),
        )
        changes = channels != width or stride != 1
        self.shortcut = nn.Conv2d(channels, width, kernel_size=1, stride=stride, bias=False) if changes else None

    def forward(self, values: Float[Tensor, "batch channel size size"]) -> Float[Tensor, "batch out lower lower"]:
        """The size divided by the stride, rounded up; `width` channels."""
        activated = self.activation(values)
        shortcut = values if self.shortcut is None else self.shortcut(activated)
        return shortcut + self.branch(activated)
