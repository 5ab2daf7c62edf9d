from functools import partial
from typing import Any

import pytest
import torch

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.tim import TIM, AlphaTIM, FastAlphaTIM, FastTIM, order_for
from tests.classifiers.transductive import EVEN, ONE_SHOT, UNEQUAL, assert_equals_twin, scores_of
from tests.reference import transductive as reference

SETTINGS: list[dict[str, Any]] = [{"steps": 40}, {"steps": 25, "learning_rate": 0.01, "scale": 8.0}]
ADAM = {TIM: "elementwise", FastTIM: "classwise", AlphaTIM: "elementwise", FastAlphaTIM: "classwise"}


@pytest.mark.parametrize("tasks", [EVEN, ONE_SHOT, UNEQUAL])
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("cls", [TIM, FastTIM])
def test_tim_equals_autograd(cls: type[TIM], tasks: FewShotTasks, settings: dict[str, Any]) -> None:
    weights = {"supervised": 0.1, "marginal": 1.0, "conditional": 0.1}
    twin = partial(reference.information, alpha=1.0, adam=ADAM[cls], **weights, **settings)
    assert_equals_twin(cls(**settings), twin, tasks)


@pytest.mark.parametrize("tasks", [EVEN, ONE_SHOT, UNEQUAL])
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("cls", [AlphaTIM, FastAlphaTIM])
def test_alpha_tim_equals_autograd(cls: type[AlphaTIM], tasks: FewShotTasks, settings: dict[str, Any]) -> None:
    order, weights = order_for(tasks.shots), {"supervised": 1.0, "marginal": 1.0, "conditional": 1.0}
    twin = partial(reference.information, alpha=order, adam=ADAM[cls], **weights, **settings)
    assert_equals_twin(cls(**settings), twin, tasks)


def test_alpha_tim_of_order_one_and_tims_weights_is_tim() -> None:
    alike = FastAlphaTIM(alpha=1.0, supervised=0.1, marginal=1.0, conditional=0.1, steps=30)
    torch.testing.assert_close(scores_of(alike, EVEN), scores_of(FastTIM(steps=30), EVEN))


def test_orders_are_the_authors() -> None:
    assert [order_for(shots) for shots in (1, 2, 4, 5, 10, None)] == [2.0, 5.0, 5.0, 7.0, 7.0, 5.0]


def test_a_thousand_steps_lose_no_digits_that_matter() -> None:
    single, double = (
        scores_of(
            FastTIM(),
            FewShotTasks(support=EVEN.support.to(kind), labels=EVEN.labels, query=EVEN.query.to(kind), ways=3, shots=2),
        )
        for kind in (torch.float32, torch.float64)
    )
    torch.testing.assert_close(single.double().log_softmax(-1), double.log_softmax(-1), rtol=1e-2, atol=1e-2)
