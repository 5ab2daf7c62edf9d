import itertools

import pytest

from s2m2.functional.schedules import Schedule, learning_rate_factor

# By hand: (1 + cos(pi t)) / 2 at t = 0, 1/4, 1/2, 3/4; 1/25 + 24/25 * t on the way up.
GOLDEN: list[tuple[Schedule, list[float]]] = [
    ("constant", [1.0, 1.0, 1.0, 1.0]),
    ("cosine", [1.0, 0.8535533905932737, 0.5, 0.14644660940672627]),
    ("one_cycle", [0.04, 0.52, 1.0, 0.5]),
]


@pytest.mark.parametrize(("schedule", "expected"), GOLDEN)
def test_factors_step_by_step(schedule: Schedule, expected: list[float]) -> None:
    assert [learning_rate_factor(schedule, step, 4, warmup=0.5) for step in range(4)] == pytest.approx(expected, rel=1e-12)


def test_one_cycle_rises_for_its_share_of_the_steps_and_then_falls() -> None:
    factors = [learning_rate_factor("one_cycle", step, 100, warmup=0.2) for step in range(100)]
    assert factors[0] == pytest.approx(1 / 25)
    assert factors[20] == max(factors) == 1.0
    differences = [after - before for before, after in itertools.pairwise(factors)]
    assert all(difference > 0 for difference in differences[:20])
    assert all(difference < 0 for difference in differences[20:])
    assert differences[0] == pytest.approx(differences[19])


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_every_step_of_any_stage_moves_the_weights_and_none_exceeds_the_peak(schedule: Schedule, steps: int) -> None:
    assert all(0 < learning_rate_factor(schedule, step, steps) <= 1 for step in range(steps))


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_the_factor_is_zero_after_the_last_step(schedule: Schedule) -> None:
    assert learning_rate_factor(schedule, 50, 50) == pytest.approx(0, abs=1e-15)


def test_only_one_cycle_looks_at_the_warm_up() -> None:
    assert learning_rate_factor("cosine", 1, 10, warmup=0.9) == learning_rate_factor("cosine", 1, 10, warmup=0.1)
    assert learning_rate_factor("one_cycle", 1, 10, warmup=0.9) != learning_rate_factor("one_cycle", 1, 10, warmup=0.1)
