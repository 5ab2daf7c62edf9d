import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import Tensor, nn

from s2m2.analysis.predictions import Classifier, gradient_signs, measure_head, memorization, perturb, predict, prediction_quality
from s2m2.models import LinearHead
from s2m2.random import generator_for
from tests.models.tiny import tiny_backbone
from tests.reference import outcomes as slow_outcomes
from tests.reference import representation as slow

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)


def problem(items: int = 60) -> tuple[Classifier, Tensor, Tensor]:
    backbone, generator = tiny_backbone("conv4"), generator_for(0, "head")
    head = LinearHead(backbone.feature_dim, 3)
    images = torch.randint(256, (items, 28, 28, 3), generator=generator, dtype=torch.uint8)
    classifier = Classifier(backbone, head).eval()
    with torch.no_grad():
        head.weight.mul_(100)
        predicted = classifier(view(images)).argmax(1)
    labels = torch.where(torch.rand(items, generator=generator) < 0.8, predicted, (predicted + 1) % 3)
    return classifier.train(), images, labels


def view(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (images.permute(0, 3, 1, 2).float() / 255 - mean) / std


@pytest.mark.parametrize("batch_size", [7, 60])
def test_the_measures_are_those_of_all_images_at_once(batch_size: int) -> None:
    classifier, images, labels = problem()
    rows, seen = torch.randperm(60, generator=generator_for(1)), []
    found = measure_head(
        classifier, images, rows, labels[rows], view, epsilons=(0.5, 2.0), mean=MEAN, std=STD, batch_size=batch_size, progress=seen.append
    )
    assert sum(seen) == found.images == 60
    assert all(module.training for module in classifier.modules())
    assert all(parameter.grad is None for parameter in classifier.parameters())
    classifier.eval()
    quality = prediction_quality(classifier(view(images)).detach(), labels)
    assert found.accuracy == quality.accuracy
    assert (found.nll, found.calibration_error) == pytest.approx((quality.nll, quality.calibration_error), rel=1e-3)
    assert sum(count for count, _, _ in found.bins) == 60
    for step, accuracy in found.attacked:
        attacked = perturb(view(images), gradient_signs(classifier, view(images), labels), step / 255, MEAN, STD)
        assert accuracy == pytest.approx(float((classifier(attacked).argmax(1) == labels).double().mean()))
    assert found.attacked[1][1] < found.accuracy


def test_without_steps_nothing_is_attacked() -> None:
    classifier, images, labels = problem(9)
    found = measure_head(classifier, images, torch.arange(9), labels, view, epsilons=(), mean=MEAN, std=STD, batch_size=4)
    assert found.attacked == ()


def test_logits_come_in_the_order_of_the_rows() -> None:
    classifier, images, _ = problem(9)
    rows = torch.tensor([8, 2, 2, 5])
    found = predict(classifier, images, rows, view, batch_size=3)
    torch.testing.assert_close(found, classifier.eval()(view(images[rows])).detach(), rtol=1e-4, atol=1e-4)


def test_likelihood_accuracy_and_calibration_equal_the_slow_twins() -> None:
    generator = generator_for(0, "predictions")
    logits = 3 * torch.randn(200, 5, generator=generator)
    labels = torch.multinomial((logits / 2).softmax(1), 1, generator=generator)[:, 0]
    found = prediction_quality(logits, labels)
    probabilities = [slow.softmax(row) for row in logits.double().tolist()]
    rights = [max(range(5), key=row.__getitem__) == label for row, label in zip(probabilities, labels.tolist(), strict=True)]
    assert found.accuracy == pytest.approx(sum(rights) / 200)
    assert found.nll == pytest.approx(log_loss(labels.numpy(), probabilities, labels=range(5)))
    assert found.calibration_error == pytest.approx(slow_outcomes.calibration_error([max(row) for row in probabilities], rights))
    assert found.calibration_error > 0.05  # the temperature that the labels were drawn at is another one
    assert found.bins[:, 0].sum() == found.items == 200


def test_great_logits_have_a_finite_likelihood() -> None:
    found = prediction_quality(torch.tensor([[2000.0, 0.0], [0.0, 3000.0]]), torch.tensor([0, 0]))
    assert found.nll == 1500
    assert found.accuracy == found.calibration_error == 0.5


def test_memorized_labels_are_told_from_true_ones() -> None:
    trained = torch.tensor([0, 1, 2, 2, 0, 1, 0])
    true = torch.tensor([0, 1, 2, 0, 1, 2, 2])
    predicted = torch.tensor([0, 2, 2, 2, 1, 0, 0])
    found = memorization(predicted, trained, true)
    assert (found.corrupted, found.clean) == (4, 3)
    assert (found.memorized, found.true_label, found.clean_accuracy) == pytest.approx((2 / 4, 1 / 4, 2 / 3))


def test_without_corrupted_labels_nothing_can_be_memorized() -> None:
    found = memorization(torch.tensor([0, 1]), torch.tensor([0, 0]), torch.tensor([0, 0]))
    assert found.memorized is None
    assert found.true_label is None
    assert found.clean_accuracy == 0.5


def linear_problem(items: int = 12, classes: int = 4, size: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Images from 0 to 1, their labels, and the weights of a linear classifier."""
    generator = generator_for(0, "attack")
    images = torch.rand(items, 3, size, size, generator=generator, dtype=torch.float64)
    weight = torch.randn(classes, 3 * size * size, generator=generator, dtype=torch.float64)
    return images, torch.randint(classes, (items,), generator=generator), weight


def normalized(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(values, dtype=images.dtype)[:, None, None] for values in (MEAN, STD))
    return (images - mean) / std


@pytest.mark.parametrize("epsilon", [0.0, 2 / 255, 0.1, 1.0])
def test_a_linear_classifier_is_attacked_as_by_hand(epsilon: float) -> None:
    images, labels, weight = linear_problem()

    def logits_of(batch: Tensor) -> Tensor:
        return batch.flatten(1) @ weight.T

    attacked = perturb(normalized(images), gradient_signs(logits_of, normalized(images), labels), epsilon, MEAN, STD)
    expected = slow.linear_attack(weight.numpy(), images.numpy(), labels.tolist(), epsilon, list(MEAN), list(STD))
    np.testing.assert_allclose(attacked.numpy(), normalized(torch.from_numpy(expected)).numpy(), atol=1e-12)
    predicted = [
        int(np.argmax(weight.numpy() @ normalized(torch.from_numpy(expected))[place].numpy().ravel())) for place in range(len(labels))
    ]
    assert logits_of(attacked).argmax(1).tolist() == predicted


def test_the_attack_raises_the_loss_within_its_bound_and_leaves_weights_and_modes_alone() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(6 * 36, 5)).eval()
    images, labels, _ = linear_problem(items=20, size=8)
    batch = normalized(images.float())
    with torch.inference_mode():
        signs = gradient_signs(network, batch, labels)
        attacked = perturb(batch, signs, 4 / 255, MEAN, STD)
        losses = [nn.functional.cross_entropy(network(values), labels % 5, reduction="none") for values in (batch, attacked)]
    moved = (attacked - batch) * torch.tensor(STD)[:, None, None]
    assert float(moved.abs().max()) <= 4 / 255 + 1e-6
    pixels = attacked * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    assert -1e-6 <= float(pixels.min()) <= float(pixels.max()) <= 1 + 1e-6
    assert bool((losses[1] > losses[0]).all())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_images_do_not_depend_on_the_others_of_their_batch() -> None:
    images, labels, weight = linear_problem()

    def logits_of(batch: Tensor) -> Tensor:
        return batch.flatten(1) @ weight.T * 1e-3

    whole = gradient_signs(logits_of, normalized(images), labels)
    parts = [gradient_signs(logits_of, normalized(images[place : place + 1]), labels[place : place + 1]) for place in range(len(images))]
    assert torch.equal(whole, torch.cat(parts))
