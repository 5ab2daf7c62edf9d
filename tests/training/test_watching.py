"""The line that a person watches, and the figures behind it."""

import math

import pytest
import torch

from s2m2.runs.checkpoint import Progress
from s2m2.training.objective import LossTerms
from s2m2.training.watching import Seen, duration, figures_of, finite_steps


def terms(total: float, part: float) -> LossTerms:
    return LossTerms(torch.tensor(total), {"class": torch.tensor(part)})


SEEN = Seen(stage="pretrain", epochs=10, total=80).trained({"loss": 2.5, "rotation_accuracy": 0.25}, 1234.5)


def test_figures_are_those_of_each_step() -> None:
    assert figures_of([terms(2.0, 1.0), terms(4.0, 3.0)], processes=1) == {"loss": [2.0, 4.0], "class": [1.0, 3.0]}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_the_first_loss_that_is_not_finite_is_found(bad: float) -> None:
    assert finite_steps({"loss": [1.0, 2.0]}) == 2
    assert finite_steps({"loss": [1.0, bad, 2.0, bad]}) == 1


def test_the_line_tells_epoch_losses_and_the_last_validation() -> None:
    assert SEEN.line(Progress(step=8)) == ("pretrain epoch 2/10", "loss 2.500, rotation accuracy 0.250")
    progress = Progress(step=16, best_score=0.5, best_epoch=1, waited=1)
    assert SEEN.validated(0.4567, 0.0123).line(progress) == (
        "pretrain epoch 3/10",
        "loss 2.500, rotation accuracy 0.250, validation 45.67% ± 1.23% (best 50.00% after epoch 1)",
    )
    assert SEEN.line(Progress(step=80))[0] == "pretrain epoch 10/10"


def test_what_stays_after_a_validation_tells_speed_and_time_left_too() -> None:
    record = SEEN.validated(0.5, 0.01).record(Progress(step=20, best_score=0.5, best_epoch=2, waited=0, seconds=100.0), epoch=2)
    assert record == (
        "pretrain epoch 2/10: validation 50.00% ± 1.00% (best so far), loss 2.500, rotation accuracy 0.250, 1,234 images/s, 0:05:00 left"
    )
    start = Seen(stage="finetune", epochs=4, total=80).validated(0.5, 0.01).record(Progress(best_score=0.5), epoch=0)
    assert start == "finetune epoch 0/4: validation 50.00% ± 1.00% (best so far)"


def test_durations_are_hours_minutes_and_seconds() -> None:
    assert duration(3723.4) == "1:02:03"
