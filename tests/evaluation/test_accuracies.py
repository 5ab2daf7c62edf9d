from dataclasses import replace

import pytest
import torch

from s2m2.classifiers import CosineClassifier, NearestMean
from s2m2.classifiers.task_streams import task_keys
from s2m2.errors import InputError
from s2m2.evaluation.accuracies import example_task, score_tasks
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.map_tasks import TaskGatherer
from s2m2.random import generator_for
from s2m2.recipe.evaluation import ProtocolName
from s2m2.tasks.episodes import EpisodeSpec
from s2m2.tasks.sampler import iterate_tasks, sample_tasks
from tests.reference.cosine_classifier import classify
from tests.reference.evaluate import accuracies
from tests.reference.nearest_mean import squared_distances

SPEC = EpisodeSpec(ways=3, shots=2, queries=4, tasks=20, seed=5)
QUICK = CosineClassifier(epochs=4, learning_rate=0.2)
DIM = 8


def features(spread: float = 1.0, classes: int = 6, size: int = 12, dim: int = DIM) -> FeatureSet:
    """Classes around centers of their own, in random order, with class numbers that leave gaps."""
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
    assert score_tasks(dataset, spec, NearestMean()).tolist() == pytest.approx(expected)


def test_accuracies_of_the_cosine_classifier_equal_a_plain_loop_over_tasks_and_queries() -> None:
    dataset, episodes = features(), sample_tasks(features().labels, SPEC)
    keys = task_keys(SPEC.seed, ("head", "cosine", SPEC.ways, SPEC.shots), 0, SPEC.tasks)
    scores = iter(classify(TaskGatherer(dataset.features)(episodes, keys), generator_for(0), QUICK))
    expected = accuracies(dataset, episodes, lambda support, query: next(scores))
    assert score_tasks(dataset, SPEC, QUICK).tolist() == pytest.approx(expected)


def test_separated_classes_are_told_apart_without_error_and_noise_is_not() -> None:
    spec = EpisodeSpec(ways=5, shots=1, queries=7, tasks=400)
    for classifier in (NearestMean(), CosineClassifier()):
        assert score_tasks(features(spread=0.001, dim=64), spec, classifier).min() == 1.0
        noise = replace(features(), features=torch.randn(72, 64, generator=generator_for(3)))
        assert score_tasks(noise, spec, classifier).mean().item() == pytest.approx(0.2, abs=0.02)


def test_progress_counts_every_task() -> None:
    done: list[int] = []
    score_tasks(features(), replace(SPEC, tasks=1100), NearestMean(), progress=done.append)
    assert sum(done) == 1100
    assert len(done) > 1


def test_the_example_is_the_first_task_with_its_predictions() -> None:
    classifier = QUICK
    example = example_task(features(), SPEC, classifier)
    episodes = sample_tasks(features().labels, SPEC)
    assert torch.equal(example.episode.query, episodes.query[:1])
    assert torch.equal(example.episode.support, episodes.support[:1])
    accuracy = (example.predicted == example.episode.query_ways[0]).double().mean()
    assert accuracy == score_tasks(features(), SPEC, classifier)[0]


def test_a_class_too_small_for_a_task_is_named_with_its_count_and_the_need() -> None:
    with pytest.raises(InputError, match="class class 1 has 12 images, but 2 shots and 15 queries need 17"):
        score_tasks(features(), replace(SPEC, queries=15), NearestMean())


def test_queries_of_open_set_classes_do_not_count() -> None:
    dataset, spec = features(spread=0.001), replace(SPEC, open_set_classes=2)
    assert score_tasks(dataset, spec, NearestMean()).tolist() == [1.0] * SPEC.tasks


def test_support_features_shape_the_scores() -> None:
    labels = torch.arange(6).repeat_interleave(8)
    one_hot, shifted = torch.eye(6)[labels], torch.eye(6)[(labels + 1) % 6]
    separate = FeatureSet(
        features=one_hot, labels=labels, indices=torch.arange(48), class_names=tuple("abcdef"), fingerprint="", support_features=shifted
    )
    assert score_tasks(separate, EpisodeSpec(ways=6, shots=2, queries=3, tasks=10), NearestMean()).max() == 0
