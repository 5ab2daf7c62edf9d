import numpy as np
import pytest
import torch

from s2m2.functional.sinkhorn import sinkhorn
from s2m2.seeding import generator_for
from tests.reference.transductive import transport_plan

COSTS = torch.rand(5, 3, 12, generator=generator_for(0)).double() * torch.tensor([0.01, 0.1, 1, 2, 4])[:, None, None]


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
def test_a_task_ends_by_itself_whatever_others_do(rounds: int) -> None:
    together = sinkhorn(-10 * COSTS, mass=4.0, tolerance=1e-4, rounds=rounds)
    alone = torch.cat([sinkhorn(-10 * cost[None], mass=4.0, tolerance=1e-4, rounds=rounds) for cost in COSTS])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


def test_what_all_ways_of_a_query_share_changes_nothing() -> None:
    moved = sinkhorn(-10 * COSTS - 500, mass=4.0, tolerance=1e-6, rounds=1000)
    torch.testing.assert_close(moved, sinkhorn(-10 * COSTS, mass=4.0, tolerance=1e-6, rounds=1000), rtol=1e-9, atol=1e-9)
