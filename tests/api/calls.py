"""Small calls of the Python API, each argument of which a test can change."""

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

import s2m2
from s2m2.classifiers import load_class

RNG = np.random.default_rng(0)
Y = RNG.permutation(np.repeat(np.arange(6), 12))
X = (RNG.normal(size=(6, 8))[Y] + 0.5 * RNG.normal(size=(72, 8))).astype(np.float32)
SIZE: dict[str, Any] = {"ways": 3, "shots": 2, "queries": 3, "tasks": 6}
FEW: dict[str, Any] = {"calibrated": {"samples_per_class": 20}, "cosine": {"epochs": 2}}
IMAGES, LABELS = torch.from_numpy(RNG.random((8, 3, 6, 6), dtype=np.float32)), torch.arange(8) % 4
NET = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 4))


def evaluate(features: Any = X, labels: Any = Y, classifier: Any = "nearest_mean", **arguments: Any) -> Any:
    return s2m2.evaluate(features, labels, classifier, **{**SIZE, **arguments})


def sample(labels: Any = Y, **arguments: Any) -> Any:
    return [[*map(np.ndarray.tolist, task)] for task in s2m2.EpisodeSampler(labels, **{**SIZE, **arguments})]


def fit(labels: Any = Y, features: Any = X, name: str = "nearest_mean", **settings: Any) -> Any:
    return load_class(name)(**{**FEW.get(name, {}), **settings}).fit(features, labels)


def mix(layers: Any = NET[0], images: Any = IMAGES, labels: Any = LABELS, num_classes: Any = 4, net: Any = NET, **settings: Any) -> Any:
    return s2m2.ManifoldMixup(layers, **settings)(net, images, labels, num_classes=num_classes)


@cache
def result() -> Any:
    return evaluate()
