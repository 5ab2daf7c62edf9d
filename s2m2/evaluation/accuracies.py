"""From features and few-shot tasks to accuracies: each task is sampled, the classifier fitted, the queries predicted."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from s2m2.classifiers.base import FewShotClassifier, JobSize, ScoresTasks
from s2m2.classifiers.transforms import TaskTransform
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.map_tasks import Scorer, map_tasks, stream_name
from s2m2.evaluation.outcomes import task_accuracies
from s2m2.tasks.episodes import EpisodeIndices, EpisodeSpec, TaskSource
from s2m2.tasks.sampler import TaskSampler


@dataclass(frozen=True, kw_only=True, eq=False)
class ExampleTask:
    """The first task of an evaluation with its predictions, for a figure of the report."""

    episode: EpisodeIndices
    """One task of positions in the feature set; `FeatureSet.indices` has their images."""
    predicted: Int64[Tensor, " query"]
    """Predicted way of each query."""


def score_tasks(
    features: FeatureSet,
    spec: EpisodeSpec,
    classifier: ScoresTasks,
    *,
    name: str | None = None,
    source: TaskSource | None = None,
    transform: TaskTransform | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Float64[Tensor, " task"]:
    """Accuracy of a classifier on each task, a fraction of its queries; open-set queries do not count.

    The tasks depend on `spec.seed` alone, and the classifier's random numbers on the seed and its name, so two classifiers, backbones
    or trainings get the same tasks, and the first tasks of a longer evaluation the same accuracies as those of a shorter one.

    Args:
        name: of the classifier's random stream; None: `classifier.name`.
        source: the tasks; None: sampled by `spec`.
        transform: applied to each task before the classifier.
        progress: called with the number of tasks of each finished part.

    Raises:
        InputError: a task needs more classes, or more images of a class, than there are.
    """
    source = source if source is not None else sampler_for(features, spec)
    accuracies = []
    scorer = scorer_for(name, classifier, spec, features, transform, device)
    for part in map_tasks(features.features, source, scorer, task_accuracies, device=device):
        accuracies.append(part)
        if progress is not None:
            progress(len(part))
    return torch.cat(accuracies)


def example_task(
    features: FeatureSet,
    spec: EpisodeSpec,
    classifier: ScoresTasks,
    *,
    name: str | None = None,
    source: TaskSource | None = None,
    transform: TaskTransform | None = None,
    device: torch.device | str = "cpu",
) -> ExampleTask:
    """The first task of `score_tasks` with its predictions."""
    source = source if source is not None else sampler_for(features, spec)
    scorer = scorer_for(name, classifier, spec, features, transform, device)
    return next(map_tasks(features.features, _First(source), scorer, _example, device=device))


class _First:
    """The first task of a source."""

    tasks = 1
    blocks = 1

    def __init__(self, source: TaskSource) -> None:
        self.source = source

    def block(self, number: int) -> list[EpisodeIndices]:
        return [self.source.block(0)[0].part(0, 1)]


def sampler_for(features: FeatureSet, spec: EpisodeSpec) -> TaskSampler:
    """Tasks of a specification, sampled from a feature set.

    Raises:
        InputError: a task needs more classes, or more images of a class, than there are.
    """
    return TaskSampler(features.labels, spec, features.class_names, features.for_queries)


def scorer_for(
    name: str | None,
    classifier: ScoresTasks,
    spec: EpisodeSpec,
    features: FeatureSet | None = None,
    transform: TaskTransform | None = None,
    device: torch.device | str = "cpu",
) -> Scorer:
    """A classifier with its random stream for tasks of a specification, and the support features of a feature set."""
    job = classifier.job_on(torch.device(device)) if isinstance(classifier, FewShotClassifier) else JobSize()
    return Scorer(
        classifier=classifier,
        stream=("head", stream_name(classifier, name), spec.ways, spec.shots),  # the first word is part of the numbers
        seed=spec.seed,
        blocks=job.blocks,
        max_gather=job.max_gather,
        transform=transform,
        support_features=features.support_features if features is not None else None,
    )


def _example(episodes: EpisodeIndices, scores: Float[Tensor, "task query way"]) -> ExampleTask:
    return ExampleTask(episode=episodes, predicted=scores[0].argmax(-1).cpu())
