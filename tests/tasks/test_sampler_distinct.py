import pytest
import torch
from scipy.stats import chisquare

from s2m2.random import generator_for
from s2m2.tasks import sampler
from s2m2.tasks.sampler import ClassPool, distinct
from tests.reference.episodes import shuffled


def test_draws_equal_a_plain_shuffle_that_exchanges_the_same_places() -> None:
    counts = torch.tensor([5, 9, 30, 600, 17])
    drawn = distinct(counts, 5, generator_for(0))
    numbers = torch.randint(2**62, (5, 5), generator=generator_for(0))
    for draw, count in enumerate(counts.tolist()):
        places = [int(numbers[draw, step]) % (count - step) + step for step in range(5)]
        assert drawn[draw].tolist() == shuffled(places, count)


@pytest.mark.parametrize("most_steps", [0, 200])
@pytest.mark.parametrize("items", [1, 16, 90])
def test_every_draw_has_different_numbers_below_its_count(monkeypatch: pytest.MonkeyPatch, items: int, most_steps: int) -> None:
    monkeypatch.setattr(sampler, "MAX_STEPS", most_steps)
    counts = torch.tensor([90, 91, 600, 90])
    for draw, count in zip(distinct(counts, items, generator_for(1)).tolist(), counts.tolist(), strict=True):
        assert len(set(draw)) == items
        assert all(0 <= number < count for number in draw)


@pytest.mark.parametrize("most_steps", [0, 200])
def test_what_a_small_count_has_comes_first_and_nothing_lies_beyond_it(monkeypatch: pytest.MonkeyPatch, most_steps: int) -> None:
    monkeypatch.setattr(sampler, "MAX_STEPS", most_steps)
    drawn = distinct(torch.tensor([3, 1, 100]), 20, generator_for(2))
    assert sorted(drawn[0, :3].tolist()) == [0, 1, 2]
    assert drawn[1, 0] == 0
    assert drawn[0].max() <= 2
    assert drawn[1].max() == 0


@pytest.mark.parametrize("most_steps", [0, 64])
def test_all_orders_are_equally_likely(monkeypatch: pytest.MonkeyPatch, most_steps: int) -> None:
    monkeypatch.setattr(sampler, "MAX_STEPS", most_steps)
    drawn = distinct(torch.full((12_000,), 4), 3, generator_for(3))
    orders = torch.bincount(drawn @ torch.tensor([16, 4, 1]), minlength=64)
    assert (orders > 0).sum() == 24
    assert chisquare(orders[orders > 0]).pvalue > 1e-4


def test_indices_are_those_of_their_class() -> None:
    labels = torch.tensor([7, 3, 3, 7, 5, 3, 7, 5])
    pool = ClassPool(labels)
    assert pool.numbers.tolist() == [3, 5, 7]
    drawn = pool.sample(torch.tensor([[2, 0], [1, 2]]), 2, generator_for(4))
    assert labels[drawn].tolist() == [[[7, 7], [3, 3]], [[5, 5], [7, 7]]]
