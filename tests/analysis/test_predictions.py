import pytest
import torch
from torch import Tensor

from s2m2.analysis.predictions import Classifier, measure_head, predict
from s2m2.functional.predictions import prediction_quality
from s2m2.functional.signed_gradient import gradient_signs, perturb
from s2m2.models import LinearHead
from s2m2.seeding import generator_for
from tests.models.tiny import tiny_backbone

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
