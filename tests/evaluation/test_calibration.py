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
    """Queries whose ways are sampled from the softmax of their scores at a temperature."""
    generator = torch.Generator().manual_seed(0)
    scores = scale * torch.randn(queries, ways, generator=generator)
    ways_of_queries = torch.multinomial((scores / temperature).softmax(-1), 1, generator=generator)[:, 0]
    return ScoredQueries(scores=scores, ways=ways_of_queries)


@pytest.mark.parametrize(("temperature", "scale"), [(0.25, 1.0), (1.0, 3.0), (700.0, 2000.0)])
def test_the_temperature_that_the_ways_were_sampled_at_is_recovered(temperature: float, scale: float) -> None:
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
    features, counts = made_up_features(), []
    parts = score_queries(features.features, TaskSampler(features.labels, SPEC), scorer(), progress=counts.append)
    assert sum(len(part.ways) for part in parts) == SPEC.tasks * SPEC.ways * SPEC.queries
    assert sum(counts) == SPEC.tasks


class DoubleCount(TorchDispatchMode):
    """The maximum number of float64 entries in memory at once."""

    def __init__(self):
        super().__init__()
        self.alive, self.max = {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.dtype == torch.float64:
            key = id(result)
            self.alive[key] = result.numel()
            weakref.finalize(result, self.alive.pop, key, None)
            self.max = max(self.max, sum(self.alive.values()))
        return result


def test_no_second_copy_of_all_scores_in_float64() -> None:
    few, many = ([sampled(2.0, 100)] * parts for parts in (2, 40))
    counts = []
    for parts in (few, many):
        with DoubleCount() as count:
            fit_temperature(parts)
        counts.append(count.max)
    assert 0 < counts[1] <= counts[0]
