from functools import partial

import pytest
import torch

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.bd_cspn import BDCSPN
from tests.classifiers.transductive import EVEN, ONE_SHOT, UNEQUAL, assert_equals_twin, scores_of
from tests.reference import transductive as reference


@pytest.mark.parametrize("tasks", [EVEN, ONE_SHOT, UNEQUAL])
@pytest.mark.parametrize("settings", [{}, {"pseudo_labels": 0}, {"pseudo_labels": 2, "scale": 3.0}])
def test_it_equals_plain_loops(tasks: FewShotTasks, settings: dict[str, float]) -> None:
    classifier = BDCSPN(**settings)
    assert_equals_twin(classifier, partial(reference.bd_cspn, **settings), tasks)


def test_the_most_confident_queries_alone_are_another_choice_than_all() -> None:
    few, every = (scores_of(BDCSPN(pseudo_labels=most), EVEN) for most in (1, 0))
    assert not torch.allclose(few, every, atol=1e-3)
