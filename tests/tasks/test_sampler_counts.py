import numpy as np
import pytest
import torch

from s2m2.tasks.sampler import dirichlet_counts, variable_counts


def test_counts_are_the_shares_of_the_draw_and_add_up() -> None:
    counts = dirichlet_counts(torch.full((500, 5), 600), 75, 2.0, np.random.default_rng(0))
    shares = np.random.default_rng(0).dirichlet([2.0] * 5, size=500)
    assert (counts.sum(1) == 75).all()
    assert np.abs(counts.numpy() - 75 * shares).max() < 1


@pytest.mark.parametrize(("concentration", "spread"), [(0.5, 0.2138), (2.0, 0.1206), (50.0, 0.0252)])
def test_the_spread_of_the_counts_is_that_of_the_dirichlet_distribution(concentration: float, spread: float) -> None:
    counts = dirichlet_counts(torch.full((4000, 5), 10_000), 1000, concentration, np.random.default_rng(1))
    exact = np.sqrt(0.2 * 0.8 / (5 * concentration + 1))
    assert exact == pytest.approx(spread, abs=1e-3)
    assert counts.double().std(0).mean() / 1000 == pytest.approx(exact, rel=0.03)


def test_what_a_class_does_not_have_goes_to_the_others() -> None:
    available = torch.tensor([[3, 100, 100], [1, 1, 100]]).repeat(50, 1)
    counts = dirichlet_counts(available, 60, 0.3, np.random.default_rng(2))
    assert (counts.sum(1) == 60).all()
    assert (counts <= available).all()
    assert (counts >= 0).all()


def test_fewer_images_than_queries_are_all_used() -> None:
    assert dirichlet_counts(torch.tensor([[3, 4, 5]]), 60, 1.0, np.random.default_rng(3)).tolist() == [[3, 4, 5]]


def test_tasks_of_variable_size_keep_the_rule_of_meta_dataset() -> None:
    generator, sizes = np.random.default_rng(4), torch.tensor([12] + [600] * 30 + [41] * 40)
    drawn = [variable_counts(sizes, generator) for _ in range(400)]
    ways = [len(classes) for classes, _, _ in drawn]
    assert (min(ways), max(ways)) == (5, 50)
    assert np.mean(ways) == pytest.approx(27.5, abs=2)
    for classes, shots, queries in drawn:
        assert len(set(classes.tolist())) == len(classes)
        assert queries.unique().tolist() == [6 if 0 in classes else 10]
        assert shots.min() >= 1
        assert (shots + queries <= sizes[classes]).all()
        assert shots.sum() <= 500
    assert any(len(shots.unique()) > 1 for _, shots, _ in drawn)
    large = torch.cat([shots[sizes[classes] == 600].double() for classes, shots, _ in drawn]).mean()
    small = torch.cat([shots[sizes[classes] == 41].double() for classes, shots, _ in drawn]).mean()
    assert large > 5 * small  # shots follow the size of a class
