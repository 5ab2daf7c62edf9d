from collections.abc import Iterator
from dataclasses import replace
from threading import current_thread

import pytest
import torch
from torch import Tensor

from s2m2.classifiers import CosineClassifier, NearestMean
from s2m2.classifiers.base import FewShotTasks, ScoresTasks
from s2m2.evaluation.map_tasks import Scorer, TaskGatherer, map_tasks, part_size
from s2m2.random import generator_for
from s2m2.tasks import sampler
from s2m2.tasks.episodes import EpisodeIndices, EpisodeSpec
from s2m2.tasks.sampler import TaskSampler, sample_tasks

SPEC = EpisodeSpec(ways=3, shots=2, queries=4, tasks=60, seed=5)
LABELS = torch.arange(6).repeat_interleave(12)
FEATURES = torch.randn(72, 8, generator=generator_for(0, "features"))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "BLOCK", 16)


@pytest.fixture
def threads() -> Iterator[int]:
    """Three threads, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


def noisy_nearest_mean(tasks: FewShotTasks, generator: torch.Generator) -> Tensor:
    """A classifier that samples noise for every task, so that the stream of each block shows."""
    noise = torch.rand(len(tasks), tasks.query.shape[1] * tasks.ways, generator=generator)
    return NearestMean()(tasks, generator) + 8 * noise.unflatten(1, (-1, tasks.ways))


def scores_of(classifier: ScoresTasks, spec: EpisodeSpec = SPEC, **settings: int) -> Tensor:
    scorer = Scorer(classifier=classifier, stream=("classifier",), seed=spec.seed, **settings)
    return torch.cat(list(map_tasks(FEATURES, TaskSampler(LABELS, spec), scorer, lambda episodes, scores: scores.clone())))


def test_every_block_of_tasks_has_a_stream_of_its_own(threads: int) -> None:
    episodes, gather = sample_tasks(LABELS, SPEC), TaskGatherer(FEATURES)
    expected = [
        noisy_nearest_mean(gather(episodes.part(16 * block, 16 * block + 16)), generator_for(SPEC.seed, "classifier", block))
        for block in range(4)
    ]
    torch.testing.assert_close(scores_of(noisy_nearest_mean, blocks=1), torch.cat(expected))


def test_several_blocks_may_be_one_job(threads: int) -> None:
    episodes, gather = sample_tasks(LABELS, SPEC), TaskGatherer(FEATURES)
    expected = [
        noisy_nearest_mean(gather(episodes.part(48 * job, 48 * job + 48)), generator_for(SPEC.seed, "classifier", job)) for job in range(2)
    ]
    torch.testing.assert_close(scores_of(noisy_nearest_mean, blocks=3), torch.cat(expected))


@pytest.mark.parametrize("classifier", [noisy_nearest_mean, CosineClassifier(epochs=4)])
def test_neither_the_number_of_threads_nor_of_tasks_changes_a_score(classifier: ScoresTasks, threads: int) -> None:
    many = scores_of(classifier)
    torch.set_num_threads(1)
    assert torch.equal(scores_of(classifier), many)
    torch.testing.assert_close(scores_of(classifier, replace(SPEC, tasks=37)), many[:37])


def test_the_size_of_parts_changes_no_score() -> None:
    whole, parts = scores_of(NearestMean()), scores_of(NearestMean(), max_gather=1)
    torch.testing.assert_close(parts, whole)


def test_parts_hold_no_more_than_allowed_and_one_task_at_least() -> None:
    for ways, queries, dim in ((5, 15, 640), (20, 19, 640), (5, 599, 640), (5, 15, 21168), (50, 599, 10**6)):
        episodes = EpisodeIndices(
            classes=torch.zeros(1, ways, dtype=torch.int64),
            support=torch.zeros(1, ways, dtype=torch.int64),
            support_ways=torch.zeros(1, ways, dtype=torch.int64),
            query=torch.zeros(1, ways * queries, dtype=torch.int64),
            query_ways=torch.zeros(1, ways * queries, dtype=torch.int64),
            shots=1,
        )
        size = part_size(episodes, dim, 2**22)
        assert size == 1 or size * ways * (1 + queries) * dim <= 2**22


def test_an_evaluation_leaves_the_number_of_threads_alone(threads: int) -> None:
    scores_of(NearestMean())
    assert torch.get_num_threads() == threads


def test_results_of_several_threads_come_in_order(threads: int) -> None:
    scorer, spec = Scorer(classifier=NearestMean(), stream=("classifier",), seed=0), replace(SPEC, tasks=160)

    def reduce(episodes: EpisodeIndices, scores: Tensor) -> tuple[str, Tensor]:
        return current_thread().name, episodes.support.clone()

    results = list(map_tasks(FEATURES, TaskSampler(LABELS, spec), scorer, reduce))
    assert all(name.startswith("tasks") for name, _ in results)
    assert torch.equal(torch.cat([support for _, support in results]), sample_tasks(LABELS, spec).support)


def test_an_error_of_a_classifier_reaches_the_caller(threads: int) -> None:
    def broken(tasks: FewShotTasks, generator: torch.Generator) -> Tensor:
        raise ZeroDivisionError("broken classifier")

    with pytest.raises(ZeroDivisionError, match="broken classifier"):
        scores_of(broken)


def test_a_transform_comes_before_the_classifier() -> None:
    scorer = Scorer(
        classifier=NearestMean(),
        stream=("classifier",),
        seed=SPEC.seed,
        transform=lambda tasks: replace(tasks, query=torch.zeros_like(tasks.query)),
    )
    scores = torch.cat(list(map_tasks(FEATURES, TaskSampler(LABELS, SPEC), scorer, lambda episodes, scores: scores.clone())))
    torch.testing.assert_close(scores, scores[:, :1].expand_as(scores))


def test_support_is_gathered_from_support_features() -> None:
    features = torch.arange(72.0)[:, None].expand(-1, 3).contiguous()
    episodes = sample_tasks(LABELS, SPEC)
    tasks = TaskGatherer(features, features + 1000)(episodes)
    assert torch.equal(tasks.support[..., 0], episodes.support + 1000.0)
    assert torch.equal(tasks.query[..., 0], episodes.query.float())
