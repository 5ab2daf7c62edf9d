"""The learning rate of a step as a pure function of its number, so that a continued run needs no scheduler state."""

import math
from typing import Literal

Schedule = Literal["constant", "cosine", "one_cycle"]

FIRST_FACTOR = 1 / 25
"""Where a one-cycle rise starts (Smith and Topin, 2018, arXiv 1708.07120, as commonly set)."""


def learning_rate_factor(schedule: Schedule, step: int, steps: int, warmup: float = 0.2) -> float:
    """What the peak learning rate is multiplied by at one step.

    constant: 1. cosine: half a cosine from 1 at step 0 to 0 (Loshchilov and Hutter, 2017, arXiv 1608.03983). one_cycle: linear from
    1/25 to 1, then half a cosine to 0. Zero is reached after the last step, so that every step moves the weights.

    Args:
        schedule: which of the three.
        step: from 0 to steps - 1.
        steps: of the whole stage.
        warmup: share of the steps in which one_cycle rises, between 0 and 1.
    """
    if schedule == "constant":
        return 1.0
    rise = warmup * steps if schedule == "one_cycle" else 0.0
    if step < rise:
        return FIRST_FACTOR + (1 - FIRST_FACTOR) * step / rise
    return (1 + math.cos(math.pi * min((step - rise) / (steps - rise), 1.0))) / 2
