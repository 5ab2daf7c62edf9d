from dataclasses import replace

import pytest
import torch

from s2m2.errors import InputError
from s2m2.evaluation.classifiers import CosineClassifier, nearest_mean
from s2m2.evaluation.engine import TaskGatherer
from s2m2.evaluation.evaluate import example_task, score_tasks
from s2m2.evaluation.features import FeatureSet
from s2m2.random import generator_for
from s2m2.recipe import CosineClassifierConfig
from s2m2.recipe.evaluation import ProtocolName
from s2m2.tasks.episodes import EpisodeSpec
from s2m2.tasks.sampler import iterate_tasks, sample_tasks
from tests.reference.cosine_classifier import classify
from tests.reference.evaluate import accuracies
from tests.reference.nearest_mean import squared_distances

SPEC = EpisodeSpec(ways=3, shots=2, queries=4, tasks=20, seed=5)
QUICK = CosineClassifierConfig(epochs=4, learning_rate=0.2)
DIM = 8


def features(spread: float = 1.0, classes: int = 6, size: int = 12, dim: int = DIM) -> FeatureSet:
    """Classes around centers of their own, in shuffled rows, with class numbers that leave gaps."""
    generator = generator_for(0, "features", classes)
    labels = (torch.arange(classes) * 2 + 1).repeat_interleave(size)[torch.randperm(classes * size, generator=generator)]
    centers = torch.randn(2 * classes, dim, generator=generator)
    values = (centers[labels] + spread * torch.randn(len(labels), dim, generator=generator)).float()
    names = tuple(f"class {number}" for number in range(2 * classes))
    return FeatureSet(features=values, labels=labels, indices=torch.arange(len(labels)) + 100, class_names=names, fingerprint="f")


@pytest.mark.parametrize("protocol", ["fixed", "s2m2", "dirichlet"])
def test_accuracies_of_the_nearest_mean_equal_a_plain_loop_over_tasks_and_queries(protocol: ProtocolName) -> None:
    dataset, spec = features(), replace(SPEC, protocol=protocol)

    def nearest(support: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
        ways, shots, _ = support.shape
        return -squared_distances(support.flatten(0, 1), torch.arange(ways).repeat_interleave(shots), query, ways)

    expected = [accuracy for part in iterate_tasks(dataset.labels, spec) for accuracy in accuracies(dataset, part, nearest)]
    assert 0.4 < sum(expected) / len(expected) < 1
    assert score_tasks(dataset, spec, nearest_mean, name="nearest_mean").tolist() == pytest.approx(expected)


def test_accuracies_of_the_cosine_classifier_equal_a_plain_loop_over_tasks_and_queries() -> None:
    dataset, episodes = features(), sample_tasks(features().labels, SPEC)
    generator = generator_for(SPEC.seed, "head", "cosine", SPEC.ways, SPEC.shots, 0)
    scores = iter(classify(TaskGatherer(dataset.features)(episodes), generator, QUICK))
    expected = accuracies(dataset, episodes, lambda support, query: next(scores))
    assert score_tasks(dataset, SPEC, CosineClassifier(config=QUICK), name="cosine").tolist() == pytest.approx(expected)


def test_separated_classes_are_told_apart_without_error_and_noise_is_not() -> None:
    spec = EpisodeSpec(ways=5, shots=1, queries=7, tasks=400)
    for classifier in (nearest_mean, CosineClassifier(config=CosineClassifierConfig())):
        assert score_tasks(features(spread=0.001, dim=64), spec, classifier, name="cosine").min() == 1.0
        noise = replace(features(), features=torch.randn(72, 64, generator=generator_for(3)))
        assert score_tasks(noise, spec, classifier, name="cosine").mean().item() == pytest.approx(0.2, abs=0.02)


def test_progress_is_told_every_task() -> None:
    done: list[int] = []
    score_tasks(features(), replace(SPEC, tasks=1100), nearest_mean, name="nearest_mean", progress=done.append)
    assert sum(done) == 1100
    assert len(done) > 1


def test_the_example_is_the_first_task_with_the_predictions_that_it_was_scored_by() -> None:
    classifier = CosineClassifier(config=QUICK)
    example = example_task(features(), SPEC, classifier, name="cosine")
    episodes = sample_tasks(features().labels, SPEC)
    assert torch.equal(example.episode.query, episodes.query[:1])
    assert torch.equal(example.episode.support, episodes.support[:1])
    accuracy = (example.predicted == example.episode.query_ways[0]).double().mean()
    assert accuracy == score_tasks(features(), SPEC, classifier, name="cosine")[0]


def test_a_class_too_small_for_a_task_is_named_with_its_count_and_the_need() -> None:
    with pytest.raises(InputError, match="class class 1 has 12 images, but 2 shots and 15 queries need 17"):
        score_tasks(features(), replace(SPEC, queries=15), nearest_mean, name="nearest_mean")


def test_queries_of_open_set_classes_do_not_count() -> None:
    dataset, spec = features(spread=0.001), replace(SPEC, open_set_classes=2)
    assert score_tasks(dataset, spec, nearest_mean, name="nearest_mean").tolist() == [1.0] * SPEC.tasks
