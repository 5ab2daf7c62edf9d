"""`EpisodeSampler`: labels of any kind, tasks as index arrays, batches of a data loader, errors that name the argument."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from s2m2.errors import InputError
from s2m2.tasks.episode_sampler import EpisodeSampler
from s2m2.tasks.episodes import OPEN_SET, EpisodeSpec
from s2m2.tasks.sampler import sample_tasks

NUMBERS = np.random.default_rng(0).permutation(np.repeat([4, 7, 9, 12, 30, 31], 20))
NAMES = [f"class {number:02}" for number in NUMBERS]
SETTINGS: dict[str, Any] = {"ways": 3, "shots": 2, "queries": 4, "tasks": 9, "seed": 5}


@pytest.mark.parametrize("labels", [NUMBERS, NUMBERS.tolist(), torch.from_numpy(NUMBERS), NUMBERS.astype(np.uint8), NAMES, np.array(NAMES)])
def test_labels_of_any_kind_give_the_tasks_of_the_block_sampler(labels: Any) -> None:
    sampler = EpisodeSampler(labels, **SETTINGS)
    expected = sample_tasks(torch.from_numpy(NUMBERS), EpisodeSpec(**SETTINGS))
    tasks = list(sampler)
    assert len(sampler) == len(tasks) == 9
    for number, (support, query) in enumerate(tasks):
        assert isinstance(support, np.ndarray)
        assert support.tolist() == expected.support[number].tolist()
        assert query.tolist() == expected.query[number].tolist()
        ways = list(dict.fromkeys(sampler.labels[support].tolist()))
        assert sampler.labels[support].tolist() == np.repeat(ways, 2).tolist()
        assert sampler.labels[query].tolist() == np.repeat(ways, 4).tolist()
    assert sampler.classes.tolist() == np.unique(np.asarray(labels)).tolist()


@pytest.mark.parametrize("protocol", ["fixed", "s2m2", "dirichlet", "variable"])
def test_the_first_tasks_of_a_larger_number_are_those_of_a_smaller_one(protocol: Any) -> None:
    few, many = (EpisodeSampler(NUMBERS, **{**SETTINGS, "tasks": tasks}, protocol=protocol) for tasks in (5, 300))
    for (support, query), (same_support, same_query) in zip(few, many, strict=False):
        np.testing.assert_array_equal(support, same_support)
        np.testing.assert_array_equal(query, same_query)
        assert not set(support) & set(query)


def test_another_seed_gives_other_tasks_and_another_iteration_the_same() -> None:
    sampler = EpisodeSampler(NUMBERS, **SETTINGS)
    first, again, other = (
        [task[0].tolist() for task in tasks] for tasks in (sampler, sampler, EpisodeSampler(NUMBERS, **SETTINGS | {"seed": 6}))
    )
    assert first == again != other


def test_a_data_loader_gives_a_task_a_batch_with_its_support_first() -> None:
    sampler = EpisodeSampler(NUMBERS, **SETTINGS)
    images = TensorDataset(torch.arange(len(NUMBERS)), torch.from_numpy(NUMBERS))
    loader = DataLoader(images, batch_sampler=sampler.batches(), num_workers=0)
    assert len(loader) == 9
    for (indices, labels), (support, query) in zip(loader, sampler, strict=True):
        assert indices[:6].tolist() == support.tolist()
        assert indices[6:].tolist() == query.tolist()
        assert labels[:6].tolist() == NUMBERS[support].tolist()


def test_open_set_queries_come_last() -> None:
    sampler = EpisodeSampler(NUMBERS, **SETTINGS, open_set_classes=2)
    for (support, query), task in zip(sampler, sampler.episodes(), strict=True):
        open_set = sampler.labels[query[-8:]]
        assert task.query_ways[0, -8:].tolist() == [OPEN_SET] * 8
        assert not set(open_set) & set(sampler.labels[support])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"ways": 7}, "labels: a 7-way task needs 7 classes, but there are 6"),
        ({"queries": 19}, "labels: class 4 has 20 images, but 2 shots and 19 queries need 21"),
        ({"open_set_classes": 4}, "labels: a 3-way task with 4 open-set classes needs 7 classes"),
        ({"ways": 1}, "ways is 1, but must be 2 or more"),
        ({"shots": 0}, "shots is 0, but must be 1 or more"),
        ({"queries": 0}, "queries is 0, but must be 1 or more"),
        ({"tasks": 0}, "tasks is 0, but must be 1 or more"),
        ({"protocol": "stored"}, "protocol is 'stored', but must be one of fixed, s2m2, dirichlet, variable"),
        ({"protocol": "dirichlet", "concentration": 0.0}, "concentration is 0.0, but must be above 0"),
        ({"protocol": "s2m2", "open_set_classes": 1}, "only tasks of protocol fixed have open-set classes"),
        ({"labels": [[1, 2], [3, 4]]}, "labels of shape (2, 2) and type int64. Unknown label type: a label is a whole number or text"),
        ({"labels": [0.5, 1.5]}, "labels of shape (2,) and type float64"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as error:
        EpisodeSampler(**{"labels": NUMBERS, **SETTINGS, **arguments})
    assert says in str(error.value)
