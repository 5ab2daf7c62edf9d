from functools import partial

import pytest

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.transductive_finetuning import TransductiveFinetuning
from tests.classifiers.transductive import EVEN, ONE_SHOT, UNEQUAL, assert_equals_twin, scores_of
from tests.reference import transductive as reference


@pytest.mark.parametrize("tasks", [EVEN, ONE_SHOT, UNEQUAL])
@pytest.mark.parametrize("settings", [{}, {"epochs": 40, "learning_rate": 0.01, "scale": 5.0}])
def test_it_equals_autograd_and_torchs_adam(tasks: FewShotTasks, settings: dict[str, float]) -> None:
    classifier = TransductiveFinetuning(**settings)
    assert_equals_twin(classifier, partial(reference.transductive_finetuning, **settings), tasks)


def test_at_the_papers_learning_rate_it_stays_near_its_start() -> None:
    start, end = (scores_of(TransductiveFinetuning(epochs=epochs), EVEN) for epochs in (0, 25))
    assert 0 < float((end - start).abs().max()) < 0.05
