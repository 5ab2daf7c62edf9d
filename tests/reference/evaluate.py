"""Few-shot accuracies by a plain loop: one task, one class, one query at a time."""

from collections.abc import Callable

import torch
from torch import Tensor

from s2m2.data.episodes import EpisodeIndices
from s2m2.evaluation.features import FeatureTable

Scorer = Callable[[Tensor, Tensor, int], Tensor]
"""Scores "query way" of a task from its support "way shot dim", its queries of one class "query dim" and its number."""


def accuracies(features: FeatureTable, episodes: EpisodeIndices, scorer: Scorer) -> list[float]:
    """Fraction of the queries of each task whose highest score is that of their own class."""
    results = []
    for task in range(len(episodes)):
        support = torch.stack([features.features[rows] for rows in episodes.support[task]])
        correct = total = 0
        for way, rows in enumerate(episodes.query[task].tolist()):
            for scores, row in zip(scorer(support, features.features[rows], task), rows, strict=True):
                assert features.labels[row] == episodes.classes[task, way]
                correct += max(range(len(scores)), key=lambda candidate: float(scores[candidate])) == way
                total += 1
        results.append(correct / total)
    return results
