"""Random numbers of tasks: those published for SplitMix64, uniform, and independent of other tasks."""

import math
from itertools import islice, permutations

import pytest
import torch
from scipy.stats import chisquare, kstest

from s2m2.classifiers.task_streams import PIECE, task_keys, task_numbers, task_orders, task_uniforms
from tests.reference.cosine_classifier import splitmix64

PUBLISHED = (6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821)
"""First outputs for the state 1234567, as implementations in other languages check them."""


def keys(tasks: int, seed: int = 0) -> torch.Tensor:
    return task_keys(seed, ("test",), 0, tasks)


def test_the_numbers_are_those_of_splitmix64() -> None:
    assert tuple(number % 2**64 for number in task_numbers(torch.tensor([1234567]), 0, 5)[0].tolist()) == PUBLISHED
    assert tuple(islice(splitmix64(1234567), 5)) == PUBLISHED
    for row, key in zip(task_numbers(keys(4), 0, 40), keys(4).tolist(), strict=True):
        assert [number % 2**64 for number in row.tolist()] == list(islice(splitmix64(key), 40))


@pytest.mark.parametrize("count", [7, PIECE + 3])
def test_a_number_depends_on_its_task_and_place_alone(count: int) -> None:
    every = task_numbers(keys(6), 0, count)
    assert torch.equal(task_numbers(keys(6)[2:4], 3, count - 3), every[2:4, 3:])
    assert torch.equal(task_keys(0, ("test",), 0, 3), keys(6)[:3])


def test_keys_differ_by_seed_stream_block_and_task() -> None:
    made = [task_keys(seed, (name,), block, 50) for seed in (0, 1) for name in ("a", "b") for block in (0, 1, 2**20)]
    assert len(torch.cat(made).unique()) == 12 * 50


def test_uniform_numbers_are_uniform_within_a_task_and_over_tasks() -> None:
    values = task_uniforms(keys(2000), 0, 500)
    assert values.dtype == torch.float32
    assert float(values.min()) >= 0
    assert float(values.max()) < 1
    for sample in (values[0], values[:, 0], values[:, 499], values.flatten()[::7]):
        assert kstest(sample.double().numpy(), "uniform").pvalue > 1e-3
    correlations = torch.corrcoef(values[:, :60].double().T).triu(1).flatten()
    assert float(correlations.abs().max()) < 5 / math.sqrt(2000)


def test_every_order_is_equally_likely_in_each_epoch_and_orders_of_neighbors_have_nothing_in_common() -> None:
    numbers = {order: position for position, order in enumerate(permutations(range(4)))}
    orders = torch.stack(list(task_orders(keys(4000), 0, 4, 3)))
    assert orders.shape == (3, 4000, 4)
    kinds = torch.tensor([[numbers[tuple(order)] for order in epoch.tolist()] for epoch in orders])
    for epoch in kinds:
        assert chisquare(epoch.bincount(minlength=24).numpy()).pvalue > 1e-3
    for one, other in ((kinds[0], kinds[1]), (kinds[1], kinds[2]), (kinds[0, :-1], kinds[0, 1:])):
        assert chisquare((one * 24 + other).bincount(minlength=576).numpy()).pvalue > 1e-3


def test_orders_are_those_of_each_task_alone_however_many_come_together() -> None:
    together = torch.stack(list(task_orders(keys(PIECE // 4), 2, 5, 7)))
    alone = torch.stack(list(task_orders(keys(3)[1:2], 2, 5, 7)))
    assert torch.equal(together[:, 1:2], alone)
    assert torch.equal(alone.sort(2).values, torch.arange(5).expand(7, 1, 5))
