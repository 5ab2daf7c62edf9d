"""Few-shot accuracies by a plain loop: one task, one query at a time."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from s2m2.classifiers.base import FewShotTasks
from s2m2.evaluation.features import FeatureSet
from s2m2.random import generator_for
from s2m2.tasks.episodes import EpisodeIndices

Scorer = Callable[[Tensor, Tensor], Tensor]
"""Scores "query way" of a task from its support, "way shot dim" or a list by way of "shot dim", and its queries "query dim"."""


def accuracies(features: FeatureSet, episodes: EpisodeIndices, scorer: Scorer) -> list[float]:
    """Fraction of the queries of each task whose highest score is that of their own class."""
    results = []
    for task in range(len(episodes)):
        support = torch.stack([features.features[indices] for indices in episodes.support[task].reshape(episodes.ways, -1)])
        indices = episodes.query[task].tolist()
        ways, correct = episodes.query_ways[task].tolist(), 0
        for scores, index, way in zip(scorer(support, features.features[indices]), indices, ways, strict=True):
            assert features.labels[index] == episodes.classes[task, way]
            correct += max(range(len(scores)), key=lambda candidate: float(scores[candidate])) == way
        results.append(correct / len(indices))
    return results


def made_up_tasks(
    count: int = 4, ways: int = 4, shots: int = 2, queries: int = 5, dim: int = 12, *, spread: float = 1.0, shift: float = 0.0
) -> FewShotTasks:
    """Tasks whose classes lie around centers of their own, `queries` of each class in order."""
    generator = generator_for(0, "made-up tasks", count, ways, shots, queries, dim)
    centers = torch.randn(count, ways, 1, dim, generator=generator) + shift
    support = centers + spread * torch.randn(count, ways, shots, dim, generator=generator)
    query = centers + spread * torch.randn(count, ways, queries, dim, generator=generator)
    labels = torch.arange(ways).repeat_interleave(shots).expand(count, -1)
    return FewShotTasks(support=support.flatten(1, 2), labels=labels, query=query.flatten(1, 2), ways=ways, shots=shots)


def made_up_unequal_tasks(count: int = 4, dim: int = 12) -> FewShotTasks:
    """Tasks of three classes with one, three and two support items."""
    even = made_up_tasks(count, ways=3, shots=3, dim=dim)
    members = torch.tensor([0, 3, 4, 5, 6, 7])
    return FewShotTasks(support=even.support[:, members], labels=even.labels[:, members], query=even.query, ways=3, shots=None)


def changed(tasks: FewShotTasks, change: Callable[[Tensor], Tensor]) -> FewShotTasks:
    """The tasks with every feature changed."""
    return FewShotTasks(support=change(tasks.support), labels=tasks.labels, query=change(tasks.query), ways=tasks.ways, shots=tasks.shots)


def first(tasks: FewShotTasks, count: int) -> FewShotTasks:
    """The first tasks."""
    return FewShotTasks(
        support=tasks.support[:count], labels=tasks.labels[:count], query=tasks.query[:count], ways=tasks.ways, shots=tasks.shots
    )


def relabeled(tasks: FewShotTasks, order: list[int]) -> FewShotTasks:
    """The tasks with way `order[i]` renamed to i, their support sorted by way; the queries keep their order."""
    labels = torch.tensor([order.index(way) for way in range(tasks.ways)])[tasks.labels]
    order_of_items = labels.argsort(dim=1, stable=True)
    return FewShotTasks(
        support=tasks.support.gather(1, order_of_items[..., None].expand_as(tasks.support)),
        labels=labels.gather(1, order_of_items),
        query=tasks.query,
        ways=tasks.ways,
        shots=tasks.shots,
    )


def each(tasks: FewShotTasks) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Support "item dim", labels " item" and queries "query dim" of one task after the other, in float64."""
    for support, labels, query in zip(tasks.support, tasks.labels, tasks.query, strict=True):
        yield support.double(), labels, query.double()
