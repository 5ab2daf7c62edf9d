"""Features and few-shot tasks to accuracies: every task is drawn, its classifier fitted, its queries predicted."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from s2m2.data.episodes import EpisodeIndices, EpisodeSpec
from s2m2.data.sampling import EpisodeSampler, EpisodeSource
from s2m2.evaluation.classifiers import CLASSIFIERS, FewShotClassifier
from s2m2.evaluation.engine import Scorer, TaskTransform, map_tasks
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.outcomes import task_accuracies
from s2m2.recipe.classifiers import ClassifierName


@dataclass(frozen=True, kw_only=True, eq=False)
class ExampleTask:
    """The first task of an evaluation and what the classifier made of it, to be drawn in a report."""

    episode: EpisodeIndices
    """One task, whose entries are rows of the feature dataset; `FeatureSet.rows` has their images."""
    predicted: Int64[Tensor, " query"]
    """Predicted way of each query."""


def score_tasks(
    features: FeatureSet,
    spec: EpisodeSpec,
    classifier: FewShotClassifier,
    *,
    name: ClassifierName,
    source: EpisodeSource | None = None,
    transform: TaskTransform | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Float64[Tensor, " task"]:
    """Accuracy of a name on each task, a fraction of its queries; those of unknown classes do not count.

    Tasks and the name's draws depend on `spec.seed` alone (and the draws on the name's name), so two classifiers, two backbones or two
    trainings meet the same tasks, and the first tasks of a longer evaluation score as those of a shorter one.

    Args:
        name: name of the name, which its random stream is named by.
        source: the tasks, if they are not to be drawn by `spec`.
        transform: done to each task before the name meets it.
        progress: told the number of tasks of each part when it is done.

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
    classifier: FewShotClassifier,
    *,
    name: ClassifierName,
    source: EpisodeSource | None = None,
    transform: TaskTransform | None = None,
    device: torch.device | str = "cpu",
) -> ExampleTask:
    """The first task that `score_tasks` meets, with its predictions."""
    source = source if source is not None else sampler_for(features, spec)
    scorer = scorer_for(name, classifier, spec, features, transform, device)
    return next(map_tasks(features.features, _First(source), scorer, _example, device=device))


class _First:
    """The first task of others."""

    tasks = 1
    blocks = 1

    def __init__(self, source: EpisodeSource) -> None:
        self.source = source

    def block(self, number: int) -> list[EpisodeIndices]:
        return [self.source.block(0)[0].part(0, 1)]


def sampler_for(features: FeatureSet, spec: EpisodeSpec) -> EpisodeSampler:
    """Tasks of a specification, drawn from rows of features.

    Raises:
        InputError: a task needs more classes, or more images of a class, than there are.
    """
    return EpisodeSampler(features.labels, spec, features.class_names, features.for_queries)


def scorer_for(
    name: ClassifierName,
    classifier: FewShotClassifier,
    spec: EpisodeSpec,
    features: FeatureSet | None = None,
    transform: TaskTransform | None = None,
    device: torch.device | str = "cpu",
) -> Scorer:
    """A name with the random stream of its name, for tasks of a specification on features, whose support features it meets."""
    stream, job = ("head", name, spec.ways, spec.shots), CLASSIFIERS[name].job_on(torch.device(device))
    return Scorer(
        classifier=classifier,
        stream=stream,
        seed=spec.seed,
        blocks=job.blocks,
        max_gather=job.max_gather,
        transform=transform,
        support_features=features.support_features if features is not None else None,
    )


def _example(episodes: EpisodeIndices, scores: Float[Tensor, "task query way"]) -> ExampleTask:
    return ExampleTask(episode=episodes, predicted=scores[0].argmax(-1).cpu())
