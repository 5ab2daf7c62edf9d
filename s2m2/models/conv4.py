"""Conv4, the small backbone of early few-shot work: four blocks of convolution, batch normalization, ReLU and max-pooling."""

from torch import nn

from s2m2.models.backbone import Backbone

BLOCKS = 4
DEFAULT_WIDTH = 64


def conv4(image_size: int, width: int | None = None) -> Backbone:
    """Four blocks of `width` channels (64 by default), each halving the size, then all remaining values as the feature vector.

    The last map is flattened and not averaged, as is usual for this network, so features depend on the size of the images.

    Args:
        image_size: size of the images, in pixels.
        width: channels of every block.
    """
    width = width or DEFAULT_WIDTH
    blocks = [_block(3 if number == 0 else width, width) for number in range(BLOCKS)]
    blocks[-1].append(nn.Flatten())
    size = image_size // 2**BLOCKS
    return Backbone(blocks, width * size * size)


def _block(channels: int, width: int) -> nn.Sequential:
    # No bias: batch normalization would take it away again.
    convolution = nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(2))
