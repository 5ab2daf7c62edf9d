import pytest
import torch
from sklearn.metrics import log_loss

from s2m2.functional.predictions import memorization, prediction_quality
from s2m2.seeding import generator_for
from tests.reference import outcomes as slow_outcomes
from tests.reference import representation as slow


def test_likelihood_accuracy_and_calibration_equal_the_slow_twins() -> None:
    generator = generator_for(0, "predictions")
    logits = 3 * torch.randn(200, 5, generator=generator)
    labels = torch.multinomial((logits / 2).softmax(1), 1, generator=generator)[:, 0]
    found = prediction_quality(logits, labels)
    chances = [slow.softmax(row) for row in logits.double().tolist()]
    rights = [max(range(5), key=row.__getitem__) == label for row, label in zip(chances, labels.tolist(), strict=True)]
    assert found.accuracy == pytest.approx(sum(rights) / 200)
    assert found.nll == pytest.approx(log_loss(labels.numpy(), chances, labels=range(5)))
    assert found.calibration_error == pytest.approx(slow_outcomes.calibration_error([max(row) for row in chances], rights))
    assert found.calibration_error > 0.05  # the temperature that the labels were drawn at is another one
    assert found.bins[:, 0].sum() == found.items == 200


def test_great_logits_have_a_finite_likelihood() -> None:
    found = prediction_quality(torch.tensor([[2000.0, 0.0], [0.0, 3000.0]]), torch.tensor([0, 0]))
    assert found.nll == 1500
    assert found.accuracy == found.calibration_error == 0.5


def test_memorised_labels_are_told_from_true_ones() -> None:
    given = torch.tensor([0, 1, 2, 2, 0, 1, 0])
    true = torch.tensor([0, 1, 2, 0, 1, 2, 2])
    predicted = torch.tensor([0, 2, 2, 2, 1, 0, 0])
    found = memorization(predicted, given, true)
    assert (found.corrupted, found.clean) == (4, 3)
    assert (found.given_label, found.true_label, found.clean_accuracy) == pytest.approx((2 / 4, 1 / 4, 2 / 3))


def test_without_corrupted_labels_nothing_can_be_memorized() -> None:
    found = memorization(torch.tensor([0, 1]), torch.tensor([0, 0]), torch.tensor([0, 0]))
    assert found.given_label is None
    assert found.true_label is None
    assert found.clean_accuracy == 0.5
