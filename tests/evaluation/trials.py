"""Features and scorers that several tests of results need."""

import torch

from s2m2.data.episodes import EpisodeIndices, EpisodeSpec
from s2m2.data.sampling import EpisodeSampler, sample_episodes
from s2m2.evaluation.classifiers import nearest_mean
from s2m2.evaluation.engine import Scorer
from s2m2.evaluation.features import FeatureTable
from s2m2.evaluation.outcomes import Outcomes, measure_outcomes
from s2m2.evaluation.tasks import FewShotTasks
from s2m2.seeding import generator_for

SPEC = EpisodeSpec(ways=3, shots=2, queries=4, tasks=60, seed=5)


def made_up_features(purpose: str = "features", classes: int = 8, size: int = 12, dim: int = 6, spread: float = 1.5) -> FeatureTable:
    """Classes around centres of their own, with class numbers that leave gaps."""
    generator = generator_for(0, purpose, classes)
    labels = (torch.arange(classes) * 2 + 1).repeat_interleave(size)[torch.randperm(classes * size, generator=generator)]
    centres = torch.randn(2 * classes, dim, generator=generator)
    values = (centres[labels] + spread * torch.randn(len(labels), dim, generator=generator)).float()
    names = tuple(f"class {number}" for number in range(2 * classes))
    return FeatureTable(features=values, labels=labels, rows=torch.arange(len(labels)) + 100, class_names=names, fingerprint="f")


def scorer(largest_gather: int = 7 * 18 * 6) -> Scorer:
    """The nearest class mean, in parts of seven tasks, so that there are several."""
    return Scorer(head=nearest_mean, stream=("test",), seed=SPEC.seed, largest_gather=largest_gather)


def outcomes_of(table: FeatureTable, spec: EpisodeSpec = SPEC, temperature: float = 1.0) -> Outcomes:
    return measure_outcomes(table.features, table.labels, EpisodeSampler(table.labels, spec), scorer(), temperature=temperature)


def task_scores(table: FeatureTable) -> tuple[EpisodeIndices, "object"]:
    """All tasks of `SPEC`, and the scores of one of them."""
    return sample_episodes(table.labels, SPEC), lambda episodes, task: score_one(table, episodes, task)


def score_one(table: FeatureTable, episodes: EpisodeIndices, task: int) -> torch.Tensor:
    tasks = FewShotTasks(
        support=table.features[episodes.support[task : task + 1]],
        labels=episodes.support_ways[task : task + 1],
        query=table.features[episodes.query[task : task + 1]],
        ways=episodes.ways,
        shots=episodes.shots,
    )
    return nearest_mean(tasks, torch.Generator())[0]
