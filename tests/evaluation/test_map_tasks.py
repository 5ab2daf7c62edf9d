from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import current_thread

import pytest
import torch
from torch import Tensor

from s2m2.classifiers import CosineClassifier, NearestMean
from s2m2.classifiers.base import FewShotClassifier, FewShotTasks, ScoresTasks
from s2m2.classifiers.base_statistics import BaseStatistics
from s2m2.classifiers.building import build_classifier
from s2m2.evaluation.map_tasks import Scorer, TaskGatherer, map_tasks, part_size
from s2m2.random import generator_for
from s2m2.tasks import sampler
from s2m2.tasks.episodes import EpisodeIndices, EpisodeSpec
from s2m2.tasks.sampler import TaskSampler, sample_tasks
from s2m2.tasks.saved_tasks import SavedTasks

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


def forest() -> FewShotClassifier:
    """An estimator with random numbers of its own."""
    return build_classifier({"name": "sklearn.ensemble:RandomForestClassifier", "n_estimators": 2})


def calibration() -> FewShotClassifier:
    """Distribution calibration with few samples, of features that may be negative."""
    base = BaseStatistics.from_features(torch.randn(90, 8, generator=generator_for(0, "base")), torch.arange(3).repeat_interleave(30))
    return build_classifier({"name": "calibrated", "power": 1.0, "samples_per_class": 20}, base)


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


@pytest.mark.parametrize("make", [lambda: CosineClassifier(epochs=4), forest, calibration], ids=["cosine", "forest", "calibrated"])
def test_a_task_has_a_random_stream_of_its_own_whatever_jobs_parts_and_threads_there_are(
    make: Callable[[], FewShotClassifier], threads: int
) -> None:
    expected = scores_of(make(), blocks=4)
    for settings in ({"blocks": 1}, {"blocks": 3}, {"max_gather": 5 * 18 * 8}, {"max_gather": 1}):
        torch.testing.assert_close(scores_of(make(), **settings), expected)
    torch.set_num_threads(1)
    torch.testing.assert_close(scores_of(make(), blocks=2), expected)
    torch.testing.assert_close(scores_of(make(), replace(SPEC, tasks=37)), expected[:37])
    assert not torch.allclose(scores_of(make(), replace(SPEC, seed=6)), expected, atol=1e-3)


def test_no_two_tasks_of_an_evaluation_share_a_stream_and_tasks_of_a_file_have_those_of_the_sampled_ones(threads: int) -> None:
    seen: list[Tensor] = []

    def note(tasks: FewShotTasks, generator: torch.Generator) -> Tensor:
        assert tasks.keys is not None
        return tasks.keys[:, None, None].double().expand(-1, tasks.query.shape[1], tasks.ways)

    spec = replace(SPEC, tasks=60)
    sampler = TaskSampler(LABELS, spec)
    alone = [episodes.part(task, task + 1) for number in range(4) for episodes in sampler.block(number) for task in range(len(episodes))]
    scorer = Scorer(classifier=note, stream=("classifier",), seed=spec.seed)
    for source in (sampler, SavedTasks(spec, alone, "")):
        seen.append(torch.cat(list(map_tasks(FEATURES, source, scorer, lambda episodes, scores: scores[:, 0, 0].clone()))))
    assert len(set(seen[0].tolist())) == 60
    assert len(set(seen[1].tolist())) == 60


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
