from functools import partial
from typing import Any

import pytest
import torch

from s2m2.evaluation.classifiers.alpha_tim import AlphaTIM, order_for
from s2m2.evaluation.classifiers.tim import TIM
from s2m2.evaluation.tasks import FewShotTasks
from s2m2.recipe.transductive import AlphaTIMConfig, TIMConfig
from tests.evaluation.classifiers.transductive import EVEN, ONE_SHOT, UNEQUAL, assert_equals_twin, scores_of
from tests.reference import transductive as reference

SETTINGS: list[dict[str, Any]] = [
    {"adam": "classwise", "steps": 40},
    {"adam": "elementwise", "steps": 40},
    {"adam": "classwise", "steps": 25, "learning_rate": 0.01, "scale": 8.0},
]


@pytest.mark.parametrize("tasks", [EVEN, ONE_SHOT, UNEQUAL])
@pytest.mark.parametrize("settings", SETTINGS)
def test_tim_equals_autograd(tasks: FewShotTasks, settings: dict[str, Any]) -> None:
    weights = {"supervised": 0.1, "marginal": 1.0, "conditional": 0.1}
    assert_equals_twin(TIM(config=TIMConfig(**settings)), partial(reference.information, alpha=1.0, **weights, **settings), tasks)


@pytest.mark.parametrize("tasks", [EVEN, ONE_SHOT, UNEQUAL])
@pytest.mark.parametrize("settings", SETTINGS)
def test_alpha_tim_equals_autograd(tasks: FewShotTasks, settings: dict[str, Any]) -> None:
    order, weights = order_for(tasks.shots), {"supervised": 1.0, "marginal": 1.0, "conditional": 1.0}
    twin = partial(reference.information, alpha=order, **weights, **settings)
    assert_equals_twin(AlphaTIM(config=AlphaTIMConfig(**settings)), twin, tasks)


def test_alpha_tim_of_order_one_and_tims_weights_is_tim() -> None:
    alike = AlphaTIMConfig(alpha=1.0, supervised=0.1, marginal=1.0, conditional=0.1, steps=30)
    expected = scores_of(TIM(config=TIMConfig(steps=30)), EVEN)
    torch.testing.assert_close(scores_of(AlphaTIM(config=alike), EVEN), expected)


def test_orders_are_the_authors() -> None:
    assert [order_for(shots) for shots in (1, 2, 4, 5, 10, None)] == [2.0, 5.0, 5.0, 7.0, 7.0, 5.0]


def test_a_thousand_steps_lose_no_digits_that_matter() -> None:
    single, double = (
        scores_of(
            TIM(config=TIMConfig()),
            FewShotTasks(support=EVEN.support.to(kind), labels=EVEN.labels, query=EVEN.query.to(kind), ways=3, shots=2),
        )
        for kind in (torch.float32, torch.float64)
    )
    torch.testing.assert_close(single.double().log_softmax(-1), double.log_softmax(-1), rtol=1e-2, atol=1e-2)
