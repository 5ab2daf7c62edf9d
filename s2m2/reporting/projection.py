"""The features of one task in the plane."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from s2m2.evaluation.evaluate import ExampleTask
from s2m2.evaluation.features import FeatureSet

MAX_OF_CLASS = 60
"""Queries of a class that are placed; more would take long and hide each other."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """Support and queries of a task as points whose neighbors are those among the features."""

    points: Float32[np.ndarray, "item 2"]
    ways: Int64[np.ndarray, " item"]
    support: Bool[np.ndarray, " item"]
    class_names: tuple[str, ...]
    """Of each way."""


def project_task(known: FeatureSet, task: ExampleTask) -> Projection | None:
    """t-SNE of a task's features (van der Maaten and Hinton, JMLR 2008), the same at every call; None of fewer than ten features.

    Args:
        known: the features that the task was drawn from.
    """
    episode = task.episode
    of_way = [np.flatnonzero(episode.query_ways[0].numpy() == way)[:MAX_OF_CLASS] for way in range(episode.ways)]
    chosen = np.concatenate(of_way)
    rows = np.concatenate([episode.support[0].numpy(), episode.query[0].numpy()[chosen]])
    if len(rows) < 10:
        return None
    ways = np.concatenate([episode.support_ways[0].numpy(), episode.query_ways[0].numpy()[chosen]])
    return Projection(
        points=plane(known.features[rows].cpu().numpy()),
        ways=ways,
        support=np.arange(len(rows)) < episode.support.shape[1],
        class_names=tuple(known.class_names[number] for number in episode.classes[0].tolist()),
    )


def plane(features: Float[np.ndarray, "item dim"]) -> Float32[np.ndarray, "item 2"]:
    """t-SNE with scikit-learn's settings but for the perplexity, which a task of few images needs smaller."""
    from sklearn.manifold import TSNE  # a second to import, and only a report needs it

    if not np.any(features != features[0]):
        return np.zeros((len(features), 2), dtype=np.float32)
    perplexity = min(30.0, (len(features) - 1) / 3)
    points = TSNE(perplexity=perplexity, init="pca" if features.shape[1] > 1 else "random", random_state=0).fit_transform(features)
    return np.asarray(points, dtype=np.float32)
