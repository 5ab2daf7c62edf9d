"""User-defined networks for `tests/models/test_custom.py`."""

import torch
from torch import Tensor, nn

from s2m2.models import Backbone

NUMBER = 3


class Net(nn.Module):
    """One stage, built without arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 6, 3, stride=2)
        self.dropout = nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        return self.dropout(self.layer(images)).mean((2, 3))


class Staged(nn.Module):
    """Two stages, whose second depends on the size of the images."""

    def __init__(self, image_size: int, width: int = 4) -> None:
        super().__init__()
        first = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.stages = nn.ModuleList([first, nn.Sequential(nn.Flatten(), nn.Linear(width * image_size**2, 7))])

    def forward(self, images: Tensor) -> Tensor:
        return self.stages[1](self.stages[0](images))


class Misstaged(Staged):
    """Its stages are not all that it does."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + 1


def backbone() -> Backbone:
    return Backbone([nn.Flatten(), nn.LazyLinear(5)], 5)


def build() -> nn.Module:
    return Net()


def maps() -> nn.Module:
    return nn.Conv2d(3, 4, 3)


def number() -> int:
    return NUMBER


def failing() -> nn.Module:
    raise RuntimeError("no such file\nand more")


def sized(image_size: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * (image_size + 1) ** 2, 4))


def on_meta() -> nn.Module:
    with torch.device("meta"):
        return Net()
