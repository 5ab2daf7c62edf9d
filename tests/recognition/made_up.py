"""Made-up features of classes that overlap, and a small backbone that names colors."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from s2m2.recognition import ImageClassifier
from s2m2.recognition.extractors import Extractor
from s2m2.recognition.preprocessing import Preprocessing

DIM = 32


def features(classes: int, images: int, *, seed: int = 0, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Features of some classes, and their labels; no feature is negative."""
    generator = np.random.default_rng(seed)
    centers = generator.normal(size=(classes, DIM)) * 1.5
    labels = np.repeat(np.arange(classes), images)
    return np.abs(centers[labels] + noise * generator.normal(size=(len(labels), DIM))).astype(np.float32), labels


class Colors(nn.Module):
    """Mean color of each quarter of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images * self.gain, 2).flatten(1)


COLORS = Preprocessing(fit="crop", resized=32, size=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def color_model(**settings: object) -> ImageClassifier:
    """A classifier on `Colors`."""
    model = ImageClassifier(backbone="efficientnet_lite0", **settings)  # type: ignore[arg-type]
    model._extractor = Extractor(name="colors", network=Colors().eval(), preprocessing=COLORS, dim=12, fingerprint="0" * 64, seen="nothing")
    model._has_reference = True
    return model


PALETTE = {"blue": (30, 40, 200), "green": (30, 180, 40), "red": (200, 30, 30), "yellow": (210, 200, 30)}


def paint(name: str, number: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """An image of one color with some noise."""
    generator = np.random.default_rng(number)
    pixels = np.array(PALETTE[name]) + generator.normal(scale=12, size=(size[1], size[0], 3)) + generator.normal(scale=20, size=3)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def color_folder(root: Path, images: int = 4, names: tuple[str, ...] = ("blue", "green", "red")) -> Path:
    """Class folders of painted images."""
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for image in range(images):
            paint(name, 100 * number + image).save(root / name / f"{name} {image}.png")
    return root
