"""Made-up features of classes: points around random centers, and a model of them."""

from collections.abc import Sequence

import numpy as np

from s2m2.recognition import ImageClassifier

DIM = 24


def blobs(
    classes: int, images: int, *, width: float = 0.3, seed: int = 0, centers: np.ndarray | None = None
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Features, labels `a`, `b`, ..., and the centers."""
    generator = np.random.default_rng(seed)
    if centers is None:
        centers = generator.normal(size=(classes, DIM)) / DIM**0.5
    ways = np.repeat(np.arange(classes), images)
    features = centers[ways] + width * generator.normal(size=(len(ways), DIM)) / DIM**0.5
    return features.astype(np.float32), [chr(ord("a") + way) for way in ways], centers


def fitted(features: np.ndarray, labels: Sequence[str], thumbnails: bool = False) -> ImageClassifier:
    model = ImageClassifier("features", "nearest_mean").fit(features, list(labels))
    if thumbnails:
        from dataclasses import replace

        from s2m2.recognition.support import thumbnail

        shades = [np.full((40, 50, 3), 5 * item % 256, dtype=np.uint8) for item in range(len(labels))]
        model.fitted_ = replace(model.fitted_, support=replace(model.support_, thumbnails=tuple(map(thumbnail, shades))))
    return model
