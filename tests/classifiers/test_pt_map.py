from functools import partial

import numpy as np
import pytest
import torch

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.pt_map import PTMap, sinkhorn
from s2m2.errors import InputError
from s2m2.random import generator_for
from tests.classifiers.transductive import EVEN, ONE_SHOT, UNEQUAL, assert_equals_twin, scores_of
from tests.reference import transductive as reference
from tests.reference.evaluate import changed
from tests.reference.transductive import transport_plan

COSTS = torch.rand(5, 3, 12, generator=generator_for(0)).double() * torch.tensor([0.01, 0.1, 1, 2, 4])[:, None, None]


@pytest.mark.parametrize("tasks", [EVEN, ONE_SHOT, UNEQUAL])
@pytest.mark.parametrize("settings", [{}, {"center": False, "rate": 0.4, "steps": 5}, {"power": 0.0, "scale": 3.0, "tolerance": 1e-4}])
def test_it_equals_plain_loops(tasks: FewShotTasks, settings: dict[str, float]) -> None:
    assert_equals_twin(PTMap(**settings), partial(reference.pt_map, **settings), tasks, single=0.1)


def test_every_class_gets_as_many_queries() -> None:
    plan = scores_of(PTMap(), EVEN).exp()
    torch.testing.assert_close(plan.sum(1), torch.full((3, 3), 6.0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(plan.sum(2), torch.ones(3, 18), rtol=2e-3, atol=2e-3)


def test_negative_features_are_refused_in_one_line() -> None:
    with pytest.raises(InputError, match=r"pt_map .* negative") as caught:
        scores_of(PTMap(), changed(EVEN, lambda features: features - 1))
    assert "\n" not in str(caught.value)


def test_plans_are_those_of_a_plain_loop() -> None:
    plans = sinkhorn(-10 * COSTS, mass=4.0, tolerance=1e-13, rounds=1000).exp()
    for plan, cost in zip(plans, COSTS, strict=True):
        expected = transport_plan(cost.T.numpy(), 10.0, 1e-13, 10_000)
        np.testing.assert_allclose(plan.T.numpy(), expected, rtol=1e-8, atol=1e-12)


def test_queries_and_ways_get_their_totals() -> None:
    plans = sinkhorn(-10 * COSTS, mass=4.0, tolerance=1e-12, rounds=1000).exp()
    torch.testing.assert_close(plans.sum(1), torch.ones(5, 12, dtype=torch.float64), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(plans.sum(2), torch.full((5, 3), 4.0, dtype=torch.float64))


@pytest.mark.parametrize("rounds", [1, 3, 1000])
def test_sinkhorn_ends_each_task_by_itself_whatever_others_do(rounds: int) -> None:
    together = sinkhorn(-10 * COSTS, mass=4.0, tolerance=1e-4, rounds=rounds)
    alone = torch.cat([sinkhorn(-10 * cost[None], mass=4.0, tolerance=1e-4, rounds=rounds) for cost in COSTS])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


def test_a_term_that_all_ways_of_a_query_share_changes_no_plan() -> None:
    moved = sinkhorn(-10 * COSTS - 500, mass=4.0, tolerance=1e-6, rounds=1000)
    torch.testing.assert_close(moved, sinkhorn(-10 * COSTS, mass=4.0, tolerance=1e-6, rounds=1000), rtol=1e-9, atol=1e-9)
