"""A small model to serve: three colors, told apart by a network without weights worth the name; it fits and answers at once."""

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from s2m2.recognition import ImageClassifier
from s2m2.recognition.extractors import Extractor
from s2m2.recognition.preprocessing import Preprocessing
from s2m2.recognition.serving.access import Access, access_for
from s2m2.recognition.serving.limits import Limits
from s2m2.recognition.serving.shared_model import SharedModel

COLORS = {"Red": (200, 40, 40), "Green": (40, 180, 60), "Blue": (40, 60, 200)}
STRANGERS = {"White": (235, 235, 235), "Gray": (128, 128, 128)}
IMAGES = 8
"""Of each class; with 20 in all, probabilities are calibrated."""
ORIGIN = "http://127.0.0.1:8000"


class Squares(nn.Module):
    """The mean colors of 16 squares of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.ones(48), requires_grad=False)
        self.batches: list[int] = []
        self.seconds = 0.0
        self.fails = False

    def forward(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        time.sleep(self.seconds)
        if self.fails:
            raise RuntimeError("out of memory")
        return nn.functional.adaptive_avg_pool2d(images, 4).flatten(1) + self.bias


def tiny_extractor() -> Extractor:
    preprocessing = Preprocessing(fit="squash", resized=16, size=16, mean=(0.5,) * 3, std=(0.5,) * 3)
    return Extractor(name="tiny", network=Squares().eval(), preprocessing=preprocessing, dim=48, fingerprint="0" * 64, seen="nothing")


def color_pixels(color: str, seed: int, size: tuple[int, int] = (20, 24)) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 25, (*size, 3))
    return (np.array({**COLORS, **STRANGERS}[color]) + noise).clip(0, 255).astype(np.uint8)


def photo(color: str, seed: int = 100, kind: str = "PNG", size: tuple[int, int] = (20, 24)) -> bytes:
    """An encoded photo of a color."""
    buffer = io.BytesIO()
    Image.fromarray(color_pixels(color, seed, size)).save(buffer, kind)
    return buffer.getvalue()


def save_colors(folder: Path, names: dict[str, str | int] | None = None) -> Path:
    """A saved model of the colors."""
    labels: dict[str, str | int] = names or {color: color for color in COLORS}
    model = ImageClassifier(classifier="cosine_centroid", device="cpu")
    model._extractor = tiny_extractor()
    pixels = [color_pixels(color, seed) for color in labels for seed in range(IMAGES)]
    model.fit(pixels, [label for label in labels.values() for _ in range(IMAGES)]).save(folder)
    return folder


def shared_colors(folder: Path) -> SharedModel:
    """The saved model, loaded, with the small network in place of the embedded one."""
    model = ImageClassifier.load(folder, device="cpu")
    model._extractor = tiny_extractor()
    return SharedModel(folder, model)


def network_of(shared: SharedModel) -> Squares:
    network = shared.current.model.extractor().network
    assert isinstance(network, Squares)
    return network


def local_access(token: str | None = None) -> Access:
    return access_for("127.0.0.1", 8000, token)


def small_limits(**changes: float) -> Limits:
    return Limits(**{"max_bytes": 400_000, "max_files": 4, "max_pixels": 1_000_000, **changes})  # type: ignore[arg-type]


def images(*contents: bytes, name: str = "photo.png") -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("images", (name, content, "image/png")) for content in contents]


def counts(answer: Any) -> dict[str, int]:
    return {one["label"]: one["images"] for one in answer["classes"]}
