"""Tiny image files for the tests of this folder."""

import os
import signal
from pathlib import Path

import numpy as np
from PIL import Image


def write_images(root: Path, classes: dict[str, int], size: int = 8) -> Path:
    """A folder of class folders with so many PNG images each, every image of one color that tells class and place."""
    for label, (name, count) in enumerate(classes.items()):
        (root / name).mkdir(parents=True)
        for place in range(count):
            Image.new("RGB", (size, size), (label, place, 100)).save(root / name / f"{place}.png")
    return root


def noise_image(width: int, height: int, seed: int = 0) -> Image.Image:
    """Random pixels, which compress badly, so that cutting the file short cuts pixels off."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def die(*arguments: object, **options: object) -> None:
    """End this process as the system does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)
