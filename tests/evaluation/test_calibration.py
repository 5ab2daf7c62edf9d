import weakref

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax
from torch.utils._python_dispatch import TorchDispatchMode

from s2m2.evaluation.calibration import ScoredQueries, calibration_error, fit_temperature, score_queries
from s2m2.tasks.episodes import OPEN_SET
from s2m2.tasks.sampler import TaskSampler
from tests.evaluation.trials import SPEC, made_up_features, scorer


def sampled(temperature: float, queries: int = 20_000, ways: int = 5, scale: float = 1.0) -> ScoredQueries:
    """Queries whose ways are drawn from the softmax of their scores at a temperature."""
    generator = torch.Generator().manual_seed(0)
    scores = scale * torch.randn(queries, ways, generator=generator)
    drawn = torch.multinomial((scores / temperature).softmax(-1), 1, generator=generator)[:, 0]
    return ScoredQueries(scores=scores, ways=drawn)


@pytest.mark.parametrize(("temperature", "scale"), [(0.25, 1.0), (1.0, 3.0), (700.0, 2000.0)])
def test_the_temperature_that_the_answers_were_drawn_at_is_found(temperature: float, scale: float) -> None:
    assert fit_temperature([sampled(temperature, scale=scale)]) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_has_a_smaller_loss() -> None:
    parts = [sampled(2.0, 300), sampled(3.0, 200, ways=4)]

    def loss(logarithm: np.ndarray) -> float:
        total = 0.0
        for part in parts:
            logs = log_softmax(part.scores.double().numpy() / np.exp(logarithm[0]), axis=1)
            total -= logs[np.arange(len(part.ways)), part.ways.numpy()].sum()
        return total / 500

    best = minimize(loss, np.zeros(1), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12})
    assert np.log(fit_temperature(parts)) == pytest.approx(float(best.x[0]), abs=1e-3)


def test_open_set_queries_and_equal_scores_do_not_disturb() -> None:
    part = sampled(2.0, 500)
    ways = torch.cat([part.ways, torch.full((100,), OPEN_SET)])
    more = ScoredQueries(scores=torch.cat([part.scores, torch.randn(100, 5)]), ways=ways)
    assert fit_temperature([more]) == pytest.approx(fit_temperature([part]), rel=1e-3)
    assert fit_temperature([ScoredQueries(scores=torch.ones(4, 3), ways=torch.tensor([0, 1, 2, 0]))]) == 1.0


def test_queries_that_are_all_right_leave_a_small_temperature_above_0() -> None:
    scores = torch.eye(3) * 4
    assert 0 < fit_temperature([ScoredQueries(scores=scores, ways=torch.arange(3))]) < 0.1


def test_the_error_of_two_bins_is_their_weighted_gap() -> None:
    bins = torch.zeros(15, 3, dtype=torch.float64)
    bins[5], bins[14] = torch.tensor([30.0, 12.0, 6.0]), torch.tensor([10.0, 9.5, 10.0])
    assert calibration_error(bins) == pytest.approx((30 * abs(12 / 30 - 6 / 30) + 10 * abs(0.95 - 1)) / 40)


def test_all_queries_of_the_tasks_are_scored() -> None:
    dataset, told = made_up_features(), []
    parts = score_queries(dataset.features, TaskSampler(dataset.labels, SPEC), scorer(), progress=told.append)
    assert sum(len(part.ways) for part in parts) == SPEC.tasks * SPEC.ways * SPEC.queries
    assert sum(told) == SPEC.tasks


class DoubleCount(TorchDispatchMode):
    """The most float64 entries that were in memory at once."""

    def __init__(self):
        super().__init__()
        self.alive, self.most = {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor) and found.dtype == torch.float64:
            key = id(found)
            self.alive[key] = found.numel()
            weakref.finalize(found, self.alive.pop, key, None)
            self.most = max(self.most, sum(self.alive.values()))
        return found


def test_scores_are_not_kept_a_second_time_in_more_digits() -> None:
    few, many = ([sampled(2.0, 100)] * parts for parts in (2, 40))
    counts = []
    for parts in (few, many):
        with DoubleCount() as count:
            fit_temperature(parts)
        counts.append(count.most)
    assert 0 < counts[1] <= counts[0]
