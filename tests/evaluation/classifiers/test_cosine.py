import pytest
import torch

from s2m2.evaluation.classifiers import CosineClassifier
from s2m2.evaluation.tasks import FewShotTasks
from s2m2.recipe import CosineClassifierConfig
from s2m2.seeding import generator_for
from tests.reference.cosine_classifier import classify
from tests.reference.evaluate import first, made_up_tasks, made_up_unequal_tasks

CONFIG = CosineClassifierConfig(epochs=5, learning_rate=0.2)


@pytest.mark.parametrize("tasks", [made_up_tasks(3, shots=1), made_up_tasks(3, shots=3), made_up_unequal_tasks(3)])
def test_scores_equal_a_plain_loop_over_tasks_with_the_same_draws(tasks: FewShotTasks) -> None:
    scores = CosineClassifier(config=CONFIG)(tasks, generator_for(7))
    expected = classify(tasks, generator_for(7), CONFIG)
    torch.testing.assert_close(scores.double(), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(scores.argmax(-1), expected.argmax(-1))


def test_the_papers_schedule_gives_the_predictions_of_a_plain_loop_over_tasks() -> None:
    tasks, config = made_up_tasks(1, shots=1), CosineClassifierConfig()
    scores = CosineClassifier(config=config)(tasks, generator_for(7))
    assert torch.equal(scores.argmax(-1), classify(tasks, generator_for(7), config).argmax(-1))


def test_the_first_tasks_of_a_block_score_alike_however_many_follow() -> None:
    tasks, classifier = made_up_tasks(40), CosineClassifier(config=CONFIG)
    torch.testing.assert_close(classifier(tasks, generator_for(7))[:7], classifier(first(tasks, 7), generator_for(7)))


def test_another_stream_gives_other_scores() -> None:
    tasks, classifier = made_up_tasks(), CosineClassifier(config=CONFIG)
    assert not torch.allclose(classifier(tasks, generator_for(7)), classifier(tasks, generator_for(8)), atol=1e-3)


def test_classes_in_clusters_of_their_own_are_told_apart_without_error() -> None:
    tasks = made_up_tasks(8, ways=5, shots=1, queries=20, dim=16, spread=0.02)
    predicted = CosineClassifier(config=CosineClassifierConfig())(tasks, generator_for(0)).argmax(-1)
    assert torch.equal(predicted, torch.arange(5).repeat_interleave(20).expand(8, 100))


def test_the_scale_bounds_the_logits_of_an_untrained_head() -> None:
    classifier = CosineClassifier(config=CosineClassifierConfig(epochs=1, learning_rate=1e-9, scale=3.0))
    assert 0 < classifier(made_up_tasks(), generator_for(7)).abs().max() <= 3.0  # no start direction is longer than 1
