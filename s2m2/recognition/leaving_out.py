"""Scores of labeled images by classifiers that were fitted without them: what a model can say of its own images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from s2m2.classifiers.base import FewShotClassifier, FewShotTasks
from s2m2.classifiers.finite import scored
from s2m2.random import generator_for

MAX_FOLDS = 10
"""Parts in which the images are left out in turn; fewer where no class has as many images."""
MAX_VALUES = 2**26
"""Values of the folds that are computed at once."""
MAX_SCORES = 2**25
"""Scores that are kept, 256 MB; of thousands of classes fewer images are scored, each with the same probability."""
MIN_GAP = 1e-6
"""Least difference of 1 and the mean cosine between class means."""


@dataclass(frozen=True, kw_only=True, eq=False)
class QueryScores:
    """What a classifier says of images."""

    scores: Float64[Tensor, "image class"]
    closeness: Float64[Tensor, " image"]
    """(c - m) / (1 - m), where c is the cosine to the nearest class mean, and m the mean cosine between class means: 1 for an image that
    equals a class mean, 0 for one that is as far from all as they are from each other."""

    def where(self, chosen: Bool[Tensor, " image"]) -> "QueryScores":
        """Some of the images."""
        return QueryScores(scores=self.scores[chosen], closeness=self.closeness[chosen])

    @classmethod
    def joined(cls, parts: "Sequence[QueryScores]") -> "QueryScores":
        """All images of some parts."""
        return cls(scores=torch.cat([part.scores for part in parts]), closeness=torch.cat([part.closeness for part in parts]))


@dataclass(frozen=True, kw_only=True, eq=False)
class LeftOut:
    """Images of the support that were scored without themselves."""

    items: Int64[Tensor, " image"]
    """Their positions in the support."""
    ways: Int64[Tensor, " image"]
    """Their classes."""
    queries: QueryScores

    def where(self, chosen: Bool[Tensor, " image"]) -> "LeftOut":
        """Some of the images."""
        return LeftOut(items=self.items[chosen], ways=self.ways[chosen], queries=self.queries.where(chosen))


def score_queries(tasks: FewShotTasks, classifier: FewShotClassifier, generator: torch.Generator) -> QueryScores:
    """Scores of all queries of some tasks, one task after the other."""
    with torch.no_grad():
        scores = scored(classifier, tasks, generator)
        return QueryScores(scores=scores.flatten(0, 1).double(), closeness=closeness(tasks).flatten())


def closeness(tasks: FewShotTasks) -> Float64[Tensor, "task query"]:
    """See `QueryScores`."""
    means, between = class_directions(tasks)
    nearest = (F.normalize(tasks.query.double(), dim=-1) @ means.mT).amax(-1)
    return (nearest - between) / (1 - between).clamp_min(MIN_GAP)


def class_directions(tasks: FewShotTasks) -> tuple[Float64[Tensor, "task way dim"], Float64[Tensor, "task 1"]]:
    """Class means of length 1, and their mean cosine to each other."""
    means = F.normalize(tasks.class_means().double(), dim=-1)
    ways = means.shape[1]
    return means, (means.sum(1).square().sum(-1, keepdim=True) - ways) / (ways * (ways - 1))


def leave_out(
    features: Float32[Tensor, "item dim"], labels: Int64[Tensor, " item"], classifier: FewShotClassifier, seed: int
) -> LeftOut | None:
    """Score labeled images without themselves; None: every class has one image.

    At most `MAX_FOLDS` times some images of every class are left out at once, one of each up to as many images, so that no class is at a
    disadvantage. A class of one image keeps it. Of more than `MAX_SCORES` scores a random part is computed.
    """
    counts = torch.bincount(labels)
    folds = int(counts.max().clamp_max(MAX_FOLDS))
    if folds < 2:
        return None
    generator = generator_for(seed, "leave out")
    order = torch.randperm(len(labels), generator=generator)
    order = order[labels[order].argsort(stable=True)]
    position = torch.cat([torch.arange(int(count)) for count in counts])
    fold = torch.where(counts[labels[order]] > 1, position % folds, -1)
    asked = torch.ones(len(order), dtype=torch.bool)
    if len(order) * len(counts) > MAX_SCORES:
        asked = torch.rand(len(order), generator=generator) < MAX_SCORES / (len(order) * len(counts))
    queries = [order[(fold == number) & asked] for number in range(folds)]
    support = [order[fold != number] for number in range(folds)]
    parts = []
    for numbers in _together(queries, support, max(len(counts), features.shape[1])):
        kept, out = torch.stack([support[number] for number in numbers]), torch.stack([queries[number] for number in numbers])
        tasks = FewShotTasks(support=features[kept], labels=labels[kept], query=features[out], ways=len(counts), shots=None)
        scored = score_queries(tasks, classifier, generator)
        parts.append(LeftOut(items=out.flatten(), ways=labels[out.flatten()], queries=scored))
    return LeftOut(
        items=torch.cat([part.items for part in parts]),
        ways=torch.cat([part.ways for part in parts]),
        queries=QueryScores.joined([part.queries for part in parts]),
    )


def _together(queries: Sequence[Tensor], support: Sequence[Tensor], width: int) -> Iterator[list[int]]:
    """Folds to compute at once: neighbors of one size, as many as fit. One without queries is left out."""
    for size, group in groupby(range(len(queries)), key=lambda number: (len(queries[number]), len(support[number]))):
        numbers = list(group) if size[0] else []
        step = max(MAX_VALUES // (sum(size) * width), 1)
        for start in range(0, len(numbers), step):
            yield numbers[start : start + step]
