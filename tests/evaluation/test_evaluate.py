from dataclasses import replace

import pytest
import torch
from torch import Tensor

from s2m2.data.episodes import EpisodeSpec, sample_episodes
from s2m2.errors import InputError
from s2m2.evaluation import evaluate
from s2m2.evaluation.classifiers import CosineClassifier, FewShotClassifier, nearest_mean
from s2m2.evaluation.evaluate import example_task, score_tasks
from s2m2.evaluation.features import FeatureTable
from s2m2.recipe import CosineClassifierConfig
from s2m2.seeding import generator_for
from tests.reference.cosine_classifier import classify
from tests.reference.evaluate import accuracies
from tests.reference.nearest_mean import squared_distances

SPEC = EpisodeSpec(ways=3, shots=2, queries=4, tasks=20, seed=5)
QUICK = CosineClassifierConfig(epochs=4, learning_rate=0.2)
DIM = 8


def features(spread: float = 1.0, classes: int = 6, size: int = 12, dim: int = DIM) -> FeatureTable:
    """Classes around centres of their own, in shuffled rows, with class numbers that leave gaps."""
    generator = generator_for(0, "features", classes)
    labels = (torch.arange(classes) * 2 + 1).repeat_interleave(size)[torch.randperm(classes * size, generator=generator)]
    centres = torch.randn(2 * classes, dim, generator=generator)
    values = (centres[labels] + spread * torch.randn(len(labels), dim, generator=generator)).float()
    names = tuple(f"class {number}" for number in range(2 * classes))
    return FeatureTable(features=values, labels=labels, rows=torch.arange(len(labels)) + 100, class_names=names, fingerprint="f")


def noisy_nearest_mean(support: Tensor, query: Tensor, generator: torch.Generator) -> Tensor:
    """A head that draws for every task, so that the stream of each block shows."""
    noise = torch.rand(len(support), query.shape[1] * query.shape[2] * support.shape[1], generator=generator)
    return nearest_mean(support, query, generator) + 8 * noise.reshape(*query.shape[:3], support.shape[1])


def test_accuracies_of_the_nearest_mean_equal_a_plain_loop_over_tasks_classes_and_queries() -> None:
    table, episodes = features(), sample_episodes(features().labels, SPEC)
    expected = accuracies(table, episodes, lambda support, query, task: -squared_distances(support, query[None])[0])
    assert 0.4 < sum(expected) / len(expected) < 1
    assert score_tasks(table, SPEC, nearest_mean, head="nearest_mean").tolist() == expected


def test_accuracies_of_the_cosine_classifier_equal_a_plain_loop_over_tasks_classes_and_queries() -> None:
    table, episodes = features(), sample_episodes(features().labels, SPEC)
    generator = generator_for(SPEC.seed, "head", "cosine", SPEC.ways, SPEC.shots, 0)
    scores = classify(table.features[episodes.support], table.features[episodes.query], generator, QUICK)
    ways = iter([(task, way) for task in range(SPEC.tasks) for way in range(SPEC.ways)])
    expected = accuracies(table, episodes, lambda support, query, task: scores[next(ways)])
    assert score_tasks(table, SPEC, CosineClassifier(config=QUICK), head="cosine").tolist() == expected


def test_every_block_of_tasks_has_a_stream_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "LARGEST_BLOCK", 8)
    table, episodes = features(), sample_episodes(features().labels, SPEC)
    expected = []
    for block in range(3):
        part = episodes.part(8 * block, 8 * block + 8)
        generator = generator_for(SPEC.seed, "head", "noisy", SPEC.ways, SPEC.shots, block)
        predicted = noisy_nearest_mean(table.features[part.support], table.features[part.query], generator).argmax(-1)
        expected += [(task == torch.arange(3)[:, None]).double().mean().item() for task in predicted]
    assert score_tasks(table, SPEC, noisy_nearest_mean, head="noisy").tolist() == pytest.approx(expected)


@pytest.mark.parametrize("head", [noisy_nearest_mean, CosineClassifier(config=QUICK)])
def test_the_first_tasks_of_a_longer_evaluation_score_as_those_of_a_shorter_one(
    head: FewShotClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "LARGEST_BLOCK", 16)
    longer, shorter = (score_tasks(features(), replace(SPEC, tasks=tasks), head, head="any") for tasks in (300, 37))
    assert torch.equal(longer[:37], shorter)


def test_blocks_depend_on_the_size_of_a_task_and_never_gather_more_than_allowed() -> None:
    for ways, items, dim in ((5, 16, 640), (20, 20, 640), (5, 600, 640), (5, 16, 21168), (50, 600, 10**6)):
        size = evaluate._block_size(EpisodeSpec(ways=ways, shots=1, queries=items - 1, tasks=1), dim)
        assert size == 1 or (size <= evaluate.LARGEST_BLOCK and size * ways * items * dim <= evaluate.LARGEST_GATHER)
        assert size.bit_count() == 1


def test_separated_classes_are_told_apart_without_error_and_noise_is_not() -> None:
    spec = EpisodeSpec(ways=5, shots=1, queries=7, tasks=400)
    for head in (nearest_mean, CosineClassifier(config=CosineClassifierConfig())):
        assert score_tasks(features(spread=0.001, dim=64), spec, head, head="any").min() == 1.0
        noise = replace(features(), features=torch.randn(72, 64, generator=generator_for(3)))
        assert score_tasks(noise, spec, head, head="any").mean().item() == pytest.approx(0.2, abs=0.02)


def test_progress_is_told_every_task() -> None:
    done: list[int] = []
    score_tasks(features(), replace(SPEC, tasks=1100), nearest_mean, head="nearest_mean", progress=done.append)
    assert done == [1024, 76]


def test_an_evaluation_leaves_the_number_of_threads_alone() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        score_tasks(features(), SPEC, nearest_mean, head="nearest_mean")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_example_is_the_first_task_with_the_predictions_that_it_was_scored_by() -> None:
    head = CosineClassifier(config=QUICK)
    example = example_task(features(), SPEC, head, head="cosine")
    episodes = sample_episodes(features().labels, SPEC)
    assert torch.equal(example.episode.query, episodes.query[:1])
    assert torch.equal(example.episode.support, episodes.support[:1])
    accuracy = (example.predicted == torch.arange(3)[:, None]).double().mean()
    assert accuracy == score_tasks(features(), SPEC, head, head="cosine")[0]


def test_a_class_too_small_for_a_task_is_named_with_its_count_and_the_need() -> None:
    with pytest.raises(InputError, match="class class 1 has 12 pictures, but 2 shots and 15 queries need 17"):
        score_tasks(features(), replace(SPEC, queries=15), nearest_mean, head="nearest_mean")
