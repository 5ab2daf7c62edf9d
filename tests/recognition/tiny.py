"""A backbone of microseconds in place of the embedded one, and models fitted with it to plain colors."""

from pathlib import Path

import pytest
import torch
from torch import nn

from s2m2.recognition.extractors import Extractor
from s2m2.recognition.preprocessing import Preprocessing
from tests.data.files import noise_image, write_images


def tiny_extractor(name: object = "tiny") -> Extractor:
    """A random convolution and a pooling to 3x3: 36 features."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten()).eval()
    preprocessing = Preprocessing(fit="crop", resized=16, size=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    return Extractor(name="tiny", network=network, preprocessing=preprocessing, dim=36, fingerprint="tiny", seen="nothing")


def use_tiny_backbone(patch: pytest.MonkeyPatch) -> None:
    """Models of images get the tiny backbone, whatever they name; it has no reference."""
    patch.setattr("s2m2.recognition.classifier.extractor_for", tiny_extractor)


def labeled_folder(root: Path, classes: tuple[str, ...] = ("robin", "wren", "owl"), images: int = 3, seed: int = 0) -> Path:
    """A folder of class folders of noise: images that differ."""
    write_images(root, dict.fromkeys(classes, 0))
    for label, name in enumerate(classes):
        for index in range(images):
            noise_image(12, 10 + label, seed=seed + 100 * label + index).save(root / name / f"{index}.png")
    return root


def photo_folder(root: Path, photos: int = 6) -> Path:
    """A folder of unlabeled noise."""
    root.mkdir(parents=True)
    for index in range(photos):
        noise_image(9, 9, seed=1000 + index).save(root / f"{index}.png")
    return root
