from functools import partial

import pytest
import torch

from s2m2.errors import InputError
from s2m2.evaluation.classifiers.pt_map import PTMap
from s2m2.evaluation.tasks import FewShotTasks
from s2m2.recipe.transductive import PTMapConfig
from tests.evaluation.classifiers.transductive import EVEN, ONE_SHOT, UNEQUAL, assert_equals_twin, scores_of
from tests.reference import transductive as reference
from tests.reference.evaluate import changed


@pytest.mark.parametrize("tasks", [EVEN, ONE_SHOT, UNEQUAL])
@pytest.mark.parametrize("settings", [{}, {"center": False, "rate": 0.4, "steps": 5}, {"power": 0.0, "scale": 3.0, "tolerance": 1e-4}])
def test_it_equals_plain_loops(tasks: FewShotTasks, settings: dict[str, float]) -> None:
    assert_equals_twin(PTMap(config=PTMapConfig(**settings)), partial(reference.pt_map, **settings), tasks, single=0.1)


def test_every_class_gets_as_many_queries() -> None:
    plan = scores_of(PTMap(config=PTMapConfig()), EVEN).exp()
    torch.testing.assert_close(plan.sum(1), torch.full((3, 3), 6.0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(plan.sum(2), torch.ones(3, 18), rtol=2e-3, atol=2e-3)


def test_negative_features_are_refused_in_one_line() -> None:
    with pytest.raises(InputError, match=r"pt_map .* negative") as caught:
        scores_of(PTMap(config=PTMapConfig()), changed(EVEN, lambda features: features - 1))
    assert "\n" not in str(caught.value)
