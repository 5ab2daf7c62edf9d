"""Early stopping as in S2M2, Algorithm 1, with patience."""

import pytest

from s2m2.runs.checkpoint import Progress
from s2m2.training.stopping import judge, out_of_patience


def stops_after(scores: list[float], patience: int) -> tuple[int, int]:
    """Validations until the end, and the best one, counted from 1; 0 validations if it never stops."""
    progress = Progress()
    for number, score in enumerate(scores, start=1):
        progress = judge(progress, score, number)
        if out_of_patience(progress, patience):
            return number, progress.best_epoch
    return 0, progress.best_epoch


@pytest.mark.parametrize(
    ("scores", "patience", "expected"),
    [
        ([0.5, 0.6, 0.55, 0.7], 1, (3, 2)),  # the paper: the first validation that is not above the one before
        ([0.5, 0.6, 0.55, 0.7, 0.6, 0.6], 2, (6, 4)),
        ([0.5, 0.5], 1, (2, 1)),  # equal is not above
        ([0.5, 0.4, 0.3], 0, (0, 1)),  # never
        ([0.1, 0.2, 0.3], 1, (0, 3)),
    ],
)
def test_a_stage_stops_when_patience_is_out_and_remembers_the_best(scores: list[float], patience: int, expected: tuple[int, int]) -> None:
    assert stops_after(scores, patience) == expected
