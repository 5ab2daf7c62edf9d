import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from s2m2.data.episodes import BLOCK, EpisodeSpec, iterate_episodes, sample_episodes
from s2m2.errors import InputError
from s2m2.seeding import generator_for
from tests.reference.episodes import complaints, draw_tasks

SIZES = (9, 30, 12, 17, 9, 21)
"""Rows of each class."""


def shuffled_labels(numbers: tuple[int, ...] = (3, 4, 7, 8, 20, 21)) -> Tensor:
    ordered = torch.tensor(numbers).repeat_interleave(torch.tensor(SIZES))
    return ordered[torch.randperm(len(ordered), generator=generator_for(0, "labels"))]


def spec(tasks: int, seed: int = 0) -> EpisodeSpec:
    return EpisodeSpec(ways=4, shots=2, queries=7, tasks=tasks, seed=seed)


def test_tasks_equal_those_of_a_plain_loop_over_the_same_keys() -> None:
    labels, wanted = shuffled_labels(), spec(BLOCK + 9)
    episodes = sample_episodes(labels, wanted)
    drawn = list(zip(episodes.classes.tolist(), episodes.support.tolist(), episodes.query.tolist(), strict=True))
    assert drawn == draw_tasks(labels.tolist(), wanted)


def test_tasks_have_different_classes_and_different_rows_of_these_however_unequal_the_classes() -> None:
    labels = shuffled_labels()
    assert complaints(sample_episodes(labels, spec(300)), labels, spec(300)) == []


def test_a_task_that_breaks_a_rule_is_noticed() -> None:
    labels, wanted = shuffled_labels(), spec(3)
    episodes = sample_episodes(labels, wanted)
    episodes.query[0, 0, 0] = episodes.support[0, 0, 0]
    episodes.query[1, 2, 3] = episodes.support[1, 1, 0]
    episodes.classes[2, 0] = episodes.classes[2, 1]
    faults = " ".join(complaints(episodes, labels, wanted))
    assert "task 0 repeats" in faults
    assert "task 1 has a row of another" in faults
    assert "task 2 has classes" in faults


def test_a_task_may_use_every_row_of_a_class() -> None:
    labels = torch.arange(3).repeat_interleave(5)
    wanted = EpisodeSpec(ways=3, shots=1, queries=4, tasks=10)
    assert complaints(sample_episodes(labels, wanted), labels, wanted) == []


def test_the_first_tasks_of_a_longer_draw_are_those_of_a_shorter_one() -> None:
    longer, shorter = sample_episodes(shuffled_labels(), spec(2 * BLOCK + 1)), sample_episodes(shuffled_labels(), spec(BLOCK - 3))
    for name in ("classes", "support", "query"):
        assert torch.equal(getattr(longer, name)[: BLOCK - 3], getattr(shorter, name))


@pytest.mark.parametrize("chunk", [1, 64, BLOCK, 4 * BLOCK])
def test_the_size_of_the_chunks_changes_no_task(chunk: int) -> None:
    whole, parts = sample_episodes(shuffled_labels(), spec(600)), list(iterate_episodes(shuffled_labels(), spec(600), chunk=chunk))
    assert {len(part) for part in parts[:-1]} <= {chunk}
    assert len(parts) == -(-600 // chunk)
    for name in ("classes", "support", "query"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))


def test_seeds_draw_different_tasks_and_blocks_of_one_seed_do_too() -> None:
    one, other = sample_episodes(shuffled_labels(), spec(2 * BLOCK)), sample_episodes(shuffled_labels(), spec(2 * BLOCK, seed=1))
    assert not torch.equal(one.support, other.support)
    assert not torch.equal(one.support[:BLOCK], one.support[BLOCK:])


def test_every_class_and_every_row_of_a_class_is_equally_likely_in_every_place() -> None:
    labels = shuffled_labels()
    episodes = sample_episodes(labels, spec(6_000))
    for way in range(4):
        assert chisquare(torch.bincount(episodes.classes[:, way])[labels.unique()]).pvalue > 1e-4
    for number in labels.unique().tolist():
        for place in (episodes.support[..., 1], episodes.query[..., -1]):
            assert chisquare(torch.bincount(place[episodes.classes == number], minlength=len(labels))[labels == number]).pvalue > 1e-4


def test_pairs_of_support_rows_are_equally_likely() -> None:
    wanted = EpisodeSpec(ways=1, shots=2, queries=1, tasks=6_000)
    support = sample_episodes(torch.zeros(5, dtype=torch.int64), wanted).support[:, 0]
    counts = torch.bincount(support[:, 0] * 5 + support[:, 1], minlength=25).reshape(5, 5)
    assert chisquare(counts[~torch.eye(5, dtype=torch.bool)]).pvalue > 1e-4


def test_too_small_a_class_is_named_with_its_count_and_the_need() -> None:
    labels = torch.tensor([0] * 20 + [2] * 15)
    wanted = EpisodeSpec(ways=2, shots=1, queries=15, tasks=1)
    with pytest.raises(InputError, match="class owl has 15 pictures, but 1 shots and 15 queries need 16"):
        sample_episodes(labels, wanted, ("cat", "dog", "owl"))
    with pytest.raises(InputError, match="class 2 has 15 pictures"):
        next(iterate_episodes(labels, wanted))


def test_too_few_classes_are_an_error_that_says_how_many_there_are() -> None:
    with pytest.raises(InputError, match="a 4-way task needs 4 classes, but there are 2"):
        sample_episodes(torch.tensor([0] * 20 + [1] * 20), spec(1))
