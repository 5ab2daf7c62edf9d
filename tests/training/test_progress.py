"""Losses of a window of steps, early stopping as in S2M2, Algorithm 1, and the texts that a person watches."""

import math

import pytest
import torch

from s2m2.runs.checkpoint import Progress
from s2m2.training.objectives import LossTerms
from s2m2.training.progress import StageStatus, after_validation, finite_steps, losses_by_step, out_of_patience


def terms(total: float, part: float) -> LossTerms:
    return LossTerms(torch.tensor(total), {"class": torch.tensor(part)})


STATUS = StageStatus(stage="pretrain", epochs=10, total=80).trained({"loss": 2.5, "rotation_accuracy": 0.25}, 1234.5)


def test_losses_are_those_of_each_step() -> None:
    assert losses_by_step([terms(2.0, 1.0), terms(4.0, 3.0)], processes=1) == {"loss": [2.0, 4.0], "class": [1.0, 3.0]}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_the_first_loss_that_is_not_finite_is_found(bad: float) -> None:
    assert finite_steps({"loss": [1.0, 2.0]}) == 2
    assert finite_steps({"loss": [1.0, bad, 2.0, bad]}) == 1


def test_the_line_tells_epoch_losses_and_the_last_validation() -> None:
    assert STATUS.line(Progress(step=8)) == ("pretrain epoch 2/10", "loss 2.500, rotation accuracy 0.250")
    progress = Progress(step=16, best_score=0.5, best_epoch=1, waited=1)
    assert STATUS.validated(0.4567, 0.0123).line(progress) == (
        "pretrain epoch 3/10",
        "loss 2.500, rotation accuracy 0.250, validation 45.67% ± 1.23% (best 50.00% after epoch 1)",
    )
    assert STATUS.line(Progress(step=80))[0] == "pretrain epoch 10/10"


def test_what_stays_after_a_validation_tells_speed_and_time_left_too() -> None:
    record = STATUS.validated(0.5, 0.01).record(Progress(step=20, best_score=0.5, best_epoch=2, waited=0, seconds=100.0), epoch=2)
    assert record == (
        "pretrain epoch 2/10: validation 50.00% ± 1.00% (best so far), loss 2.500, rotation accuracy 0.250, 1,234 images/s, 5 min 00 s left"
    )
    start = StageStatus(stage="finetune", epochs=4, total=80).validated(0.5, 0.01).record(Progress(best_score=0.5), epoch=0)
    assert start == "finetune epoch 0/4: validation 50.00% ± 1.00% (best so far)"


def stops_after(scores: list[float], patience: int) -> tuple[int, int]:
    """Validations until the end, and the best one, counted from 1; 0 validations if it never stops."""
    progress = Progress()
    for number, score in enumerate(scores, start=1):
        progress = after_validation(progress, score, number)
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
