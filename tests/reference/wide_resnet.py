"""WRN-28 under the names of the authors' released files, as its papers describe it: pre-activation blocks, whose 1x1 shortcut gets the
normalized and rectified input where the width changes, then batch normalization, ReLU and the mean over the map."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        if channels != width:
            self.convShortcut = nn.Conv2d(channels, width, 1, stride, 0, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(a))))
        return y + (self.convShortcut(a) if hasattr(self, "convShortcut") else x)


class Group(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(*[Block(channels if k == 0 else width, width, stride if k == 0 else 1) for k in range(4)])

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Head(nn.Module):
    """Only the two tensors of weight normalization, as they are stored."""

    def __init__(self, dim: int, outputs: int) -> None:
        super().__init__()
        self.L = nn.Module()
        self.L.weight_g = nn.Parameter(torch.rand(outputs, 1) + 0.5)
        self.L.weight_v = nn.Parameter(torch.randn(outputs, dim))


class ReleasedNetwork(nn.Module):
    def __init__(self, width: int, outputs: int | None = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.block1, self.block2, self.block3 = Group(16, width, 1), Group(width, 2 * width, 2), Group(2 * width, 4 * width, 2)
        self.bn1 = nn.BatchNorm2d(4 * width)
        if outputs is not None:
            self.linear = Head(4 * width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return F.relu(self.bn1(x)).mean((2, 3))


def released_network(width: int, outputs: int | None = 64) -> ReleasedNetwork:
    """With weights and statistics that are all different from those of a fresh network, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ReleasedNetwork(width, outputs)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.normal_(0, 0.2)
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 1.5)
                module.num_batches_tracked.fill_(7)
    return network.eval()
