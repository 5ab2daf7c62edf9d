"""Features and scorers shared by tests of results."""

import torch

from s2m2.classifiers import NearestMean
from s2m2.classifiers.base import FewShotTasks
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.map_tasks import Scorer
from s2m2.evaluation.outcomes import Outcomes, measure_outcomes
from s2m2.random import generator_for
from s2m2.tasks.episodes import EpisodeIndices, EpisodeSpec
from s2m2.tasks.sampler import TaskSampler

SPEC = EpisodeSpec(ways=3, shots=2, queries=4, tasks=60, seed=5)


def made_up_features(purpose: str = "features", classes: int = 8, size: int = 12, dim: int = 6, spread: float = 1.5) -> FeatureSet:
    """Classes around centers of their own, with class numbers that leave gaps."""
    generator = generator_for(0, purpose, classes)
    labels = (torch.arange(classes) * 2 + 1).repeat_interleave(size)[torch.randperm(classes * size, generator=generator)]
    centers = torch.randn(2 * classes, dim, generator=generator)
    values = (centers[labels] + spread * torch.randn(len(labels), dim, generator=generator)).float()
    names = tuple(f"class {number}" for number in range(2 * classes))
    return FeatureSet(features=values, labels=labels, indices=torch.arange(len(labels)) + 100, class_names=names, fingerprint="f")


def scorer(max_gather: int = 7 * 18 * 6) -> Scorer:
    """The nearest class mean, in parts of seven tasks, so that there are several."""
    return Scorer(classifier=NearestMean(), stream=("test",), seed=SPEC.seed, max_gather=max_gather)


def outcomes_of(dataset: FeatureSet, spec: EpisodeSpec = SPEC, temperature: float = 1.0) -> Outcomes:
    """Outcomes of `scorer` on tasks of a specification."""
    return measure_outcomes(dataset.features, dataset.labels, TaskSampler(dataset.labels, spec), scorer(), temperature=temperature)


def score_one(dataset: FeatureSet, episodes: EpisodeIndices, task: int) -> torch.Tensor:
    """Scores of the nearest class mean on one of several tasks."""
    tasks = FewShotTasks(
        support=dataset.features[episodes.support[task : task + 1]],
        labels=episodes.support_ways[task : task + 1],
        query=dataset.features[episodes.query[task : task + 1]],
        ways=episodes.ways,
        shots=episodes.shots,
    )
    return NearestMean()(tasks, torch.Generator())[0]
