from dataclasses import replace

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from s2m2.errors import InputError
from s2m2.random import generator_for
from s2m2.recipe.evaluation import ProtocolName
from s2m2.tasks.episodes import OPEN_SET, EpisodeIndices, EpisodeSpec, TaskSource, join_episodes
from s2m2.tasks.sampler import BLOCK, TaskSampler, iterate_tasks, sample_tasks
from tests.reference.episodes import complaints

SIZES = (9, 30, 12, 17, 9, 21)
"""Rows of each class."""
PARTS = ("classes", "support", "support_ways", "query", "query_ways")


def shuffled_labels(numbers: tuple[int, ...] = (3, 4, 7, 8, 20, 21)) -> Tensor:
    ordered = torch.tensor(numbers).repeat_interleave(torch.tensor(SIZES))
    return ordered[torch.randperm(len(ordered), generator=generator_for(0, "labels"))]


def spec(tasks: int, seed: int = 0, protocol: ProtocolName = "fixed") -> EpisodeSpec:
    return EpisodeSpec(ways=4, shots=2, queries=7, tasks=tasks, seed=seed, protocol=protocol)


@pytest.mark.parametrize("protocol", ["fixed", "s2m2", "dirichlet", "variable"])
def test_tasks_have_different_classes_and_different_rows_of_these_however_unequal_the_classes(protocol: ProtocolName) -> None:
    labels, wanted = shuffled_labels(), spec(300, protocol=protocol)
    parts = list(iterate_tasks(labels, wanted))
    assert sum(map(len, parts)) == 300
    assert [fault for part in parts for fault in complaints(part, labels)] == []


def test_fixed_tasks_have_the_shots_and_queries_that_they_shall() -> None:
    episodes = sample_tasks(shuffled_labels(), spec(50))
    assert episodes.size == (4, 8, 28, 2)
    assert episodes.query_ways[7].tolist() == [0] * 7 + [1] * 7 + [2] * 7 + [3] * 7


def test_a_task_that_breaks_a_rule_is_noticed() -> None:
    labels = shuffled_labels()
    drawn = sample_tasks(labels, spec(4))
    episodes = EpisodeIndices(**{name: getattr(drawn, name).clone() for name in PARTS}, shots=2)
    episodes.query[0, 0] = episodes.support[0, 0]
    episodes.query[1, 20] = episodes.support[1, 1]
    episodes.classes[2, 0] = episodes.classes[2, 1]
    episodes.support_ways[3, 0] = 1
    faults = " ".join(complaints(episodes, labels))
    for fault in ("task 0 repeats", "task 1 has row", "task 2 has classes", "task 3 does not have 2 shots"):
        assert fault in faults


def test_remaining_queries_are_all_images_that_are_not_support() -> None:
    labels = shuffled_labels()
    for task in iterate_tasks(labels, spec(20, protocol="s2m2")):
        for classes, support, query in zip(task.classes, task.support, task.query, strict=True):
            assert sorted([*support.tolist(), *query.tolist()]) == torch.isin(labels, classes).nonzero().flatten().tolist()


def test_remaining_queries_of_classes_of_one_size_make_whole_blocks() -> None:
    labels = torch.arange(6).repeat_interleave(40)
    parts = list(iterate_tasks(labels, EpisodeSpec(ways=5, shots=1, queries=0, tasks=BLOCK + 5, protocol="s2m2")))
    assert [len(part) for part in parts] == [BLOCK, 5]
    assert parts[0].size == (5, 5, 195, 1)


def test_unbalanced_queries_are_as_many_in_all_and_differ_between_classes() -> None:
    labels = torch.arange(6).repeat_interleave(200)
    episodes = sample_tasks(labels, EpisodeSpec(ways=5, shots=3, queries=15, tasks=200, protocol="dirichlet"))
    assert episodes.size == (5, 15, 75, 3)
    assert len({tuple(task.bincount(minlength=5).tolist()) for task in episodes.query_ways}) > 150


def test_open_set_queries_are_of_other_classes() -> None:
    labels = shuffled_labels()
    episodes = sample_tasks(labels, replace(spec(100), open_set_classes=2))
    assert complaints(episodes, labels) == []
    assert (episodes.query_ways == OPEN_SET).sum(1).unique().tolist() == [14]
    assert all(len(labels[query[ways == OPEN_SET]].unique()) == 2 for query, ways in zip(episodes.query, episodes.query_ways, strict=True))


def test_a_task_may_use_every_row_of_a_class() -> None:
    labels = torch.arange(3).repeat_interleave(5)
    assert complaints(sample_tasks(labels, EpisodeSpec(ways=3, shots=1, queries=4, tasks=10)), labels) == []


@pytest.mark.parametrize("protocol", ["fixed", "s2m2", "dirichlet", "variable"])
def test_the_first_tasks_of_a_longer_draw_are_those_of_a_shorter_one(protocol: ProtocolName) -> None:
    labels = shuffled_labels()
    longer, shorter = (_single(labels, spec(tasks, protocol=protocol)) for tasks in (60, 37))
    for one, other in zip(longer[:37], shorter, strict=True):
        assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in PARTS)


def test_the_first_blocks_of_a_longer_draw_are_those_of_a_shorter_one() -> None:
    longer, shorter = (sample_tasks(shuffled_labels(), spec(tasks)) for tasks in (2 * BLOCK + 1, BLOCK + 3))
    assert all(torch.equal(getattr(longer, name)[: BLOCK + 3], getattr(shorter, name)) for name in PARTS)


def test_blocks_may_be_drawn_in_any_order() -> None:
    sampler = TaskSampler(shuffled_labels(), spec(2 * BLOCK + 9))
    assert isinstance(sampler, TaskSource)
    last, first = sampler.block(2), sampler.block(0)
    whole = sample_tasks(shuffled_labels(), spec(2 * BLOCK + 9))
    assert torch.equal(first[0].query, whole.query[:BLOCK])
    assert torch.equal(last[0].query, whole.query[2 * BLOCK :])


def test_seeds_draw_different_tasks_and_blocks_of_one_seed_do_too() -> None:
    one, other = sample_tasks(shuffled_labels(), spec(2 * BLOCK)), sample_tasks(shuffled_labels(), spec(2 * BLOCK, seed=1))
    assert not torch.equal(one.support, other.support)
    assert not torch.equal(one.support[:BLOCK], one.support[BLOCK:])


def test_every_class_and_every_row_of_a_class_is_equally_likely_in_every_place() -> None:
    labels = shuffled_labels()
    episodes = sample_tasks(labels, spec(6_000))
    for way in range(4):
        assert chisquare(torch.bincount(episodes.classes[:, way])[labels.unique()]).pvalue > 1e-4
    for number in labels.unique().tolist():
        for place in (episodes.support.unflatten(1, (4, 2))[..., 1], episodes.query.unflatten(1, (4, 7))[..., -1]):
            assert chisquare(torch.bincount(place[episodes.classes == number], minlength=len(labels))[labels == number]).pvalue > 1e-4


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (EpisodeSpec(ways=2, shots=1, queries=15, tasks=1), "class owl has 15 images, but 1 shots and 15 queries need 16"),
        (EpisodeSpec(ways=2, shots=15, queries=1, tasks=1, protocol="s2m2"), "class owl has 15 images, but 15 shots and one query"),
        (EpisodeSpec(ways=3, shots=1, queries=1, tasks=1), "a 3-way task needs 3 classes, but there are 2"),
        (EpisodeSpec(ways=2, shots=1, queries=1, tasks=1, open_set_classes=1), "a 2-way task with 1 open-set classes needs 3 classes"),
        (EpisodeSpec(ways=0, shots=0, queries=0, tasks=1, protocol="variable"), "a 5-way task needs 5 classes, but there are 2"),
    ],
)
def test_what_a_task_needs_and_does_not_get_is_named(wanted: EpisodeSpec, says: str) -> None:
    labels = torch.tensor([0] * 20 + [2] * 15)
    with pytest.raises(InputError, match=says):
        sample_tasks(labels, wanted, ("cat", "dog", "owl"))


def test_a_class_without_a_name_goes_by_its_number() -> None:
    with pytest.raises(InputError, match="class 2 has 15 images"):
        next(iterate_tasks(torch.tensor([0] * 20 + [2] * 15), EpisodeSpec(ways=2, shots=1, queries=15, tasks=1)))


def test_tasks_of_different_sizes_are_not_joined() -> None:
    with pytest.raises(ValueError, match="different sizes"):
        join_episodes([sample_tasks(shuffled_labels(), replace(spec(2), queries=queries)) for queries in (1, 2)])


def _single(labels: Tensor, wanted: EpisodeSpec) -> list[EpisodeIndices]:
    return [part.part(task, task + 1) for part in iterate_tasks(labels, wanted) for task in range(len(part))]


@pytest.mark.parametrize("protocol", ["fixed", "s2m2", "dirichlet"])
def test_support_and_queries_of_two_sources_come_each_from_its_own(protocol: ProtocolName) -> None:
    labels = torch.cat([shuffled_labels(), shuffled_labels((3, 4, 7, 9, 20, 21))])
    for_queries = torch.arange(len(labels)) >= len(shuffled_labels())
    wanted = replace(spec(200, protocol=protocol), queries=8)
    drawn = [part for number in range(1) for part in TaskSampler(labels, wanted, for_queries=for_queries).block(number)]
    assert sum(map(len, drawn)) == 200
    for part in drawn:
        assert complaints(part, labels) == []
        assert not for_queries[part.support].any()
        assert for_queries[part.query].all()
        assert not set(part.classes.flatten().tolist()) & {8, 9}  # which one source has alone


def test_a_class_too_small_in_one_of_two_sources_is_named() -> None:
    labels = torch.tensor([0] * 3 + [1] * 3 + [0] * 15 + [1] * 14)
    for_queries = torch.arange(len(labels)) >= 6
    with pytest.raises(InputError, match="class b has 14 images, but 3 shots and 15 queries need 15"):
        TaskSampler(labels, EpisodeSpec(ways=2, shots=3, queries=15, tasks=1), ("a", "b"), for_queries)
    with pytest.raises(InputError, match="from one source"):
        TaskSampler(labels, EpisodeSpec(ways=2, shots=0, queries=0, tasks=1, protocol="variable"), ("a", "b"), for_queries)


def test_a_protocol_that_does_not_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="protocol stored cannot be sampled"):
        TaskSampler(torch.arange(6).repeat_interleave(9), EpisodeSpec(ways=2, shots=1, queries=3, tasks=4, protocol="stored"))
