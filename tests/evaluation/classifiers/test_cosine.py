import pytest
import torch
from torch import Tensor

from s2m2.evaluation.classifiers import CosineClassifier
from s2m2.recipe import CosineClassifierConfig
from s2m2.seeding import generator_for
from tests.reference.cosine_classifier import classify

CONFIG = CosineClassifierConfig(epochs=5, learning_rate=0.2)


def tasks(count: int = 3, ways: int = 4, shots: int = 2, dim: int = 12) -> tuple[Tensor, Tensor]:
    """Support and queries."""
    generator = generator_for(0, "cosine tasks")
    return torch.rand(count, ways, shots, dim, generator=generator), torch.rand(count, ways, 6, dim, generator=generator)


@pytest.mark.parametrize("shots", [1, 3])
def test_scores_equal_a_plain_loop_over_tasks_with_the_same_draws(shots: int) -> None:
    support, query = tasks(shots=shots)
    scores = CosineClassifier(config=CONFIG)(support, query, generator_for(7))
    expected = classify(support, query, generator_for(7), CONFIG)
    torch.testing.assert_close(scores.double(), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(scores.argmax(-1), expected.argmax(-1))


def test_the_papers_schedule_gives_the_predictions_of_a_plain_loop_over_tasks() -> None:
    support, query = tasks(count=1, shots=1)
    config = CosineClassifierConfig()
    scores = CosineClassifier(config=config)(support, query, generator_for(7))
    assert torch.equal(scores.argmax(-1), classify(support, query, generator_for(7), config).argmax(-1))


def test_the_first_tasks_of_a_block_score_alike_however_many_follow() -> None:
    support, query = tasks(count=40)
    head = CosineClassifier(config=CONFIG)
    torch.testing.assert_close(head(support, query, generator_for(7))[:7], head(support[:7], query[:7], generator_for(7)))


def test_another_stream_gives_other_scores() -> None:
    support, query = tasks()
    head = CosineClassifier(config=CONFIG)
    assert not torch.allclose(head(support, query, generator_for(7)), head(support, query, generator_for(8)), atol=1e-3)


def test_classes_in_clusters_of_their_own_are_told_apart_without_error() -> None:
    generator = generator_for(0, "clusters")
    centres = 5 * torch.eye(5, 16)[:, None]
    support = centres + 0.1 * torch.randn(8, 5, 1, 16, generator=generator)
    query = centres + 0.1 * torch.randn(8, 5, 20, 16, generator=generator)
    predicted = CosineClassifier(config=CosineClassifierConfig())(support, query, generator).argmax(-1)
    assert torch.equal(predicted, torch.arange(5)[:, None].expand(8, 5, 20))


def test_the_scale_bounds_the_logits_of_an_untrained_head() -> None:
    support, query = tasks()
    scores = CosineClassifier(config=CosineClassifierConfig(epochs=1, learning_rate=1e-9, scale=3.0))(support, query, generator_for(7))
    assert 0 < scores.abs().max() <= 3.0  # no start direction is longer than 1
