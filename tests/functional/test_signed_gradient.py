import numpy as np
import pytest
import torch
from torch import Tensor, nn

from s2m2.functional.signed_gradient import gradient_signs, perturb
from s2m2.seeding import generator_for
from tests.reference import representation as slow

MEAN, STD = (0.4, 0.5, 0.3), (0.2, 0.25, 0.5)


def problem(items: int = 12, classes: int = 4, size: int = 3) -> tuple[Tensor, Tensor, Tensor]:
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
    images, labels, weight = problem()

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
    images, labels, _ = problem(items=20, size=8)
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
    images, labels, weight = problem()

    def logits_of(batch: Tensor) -> Tensor:
        return batch.flatten(1) @ weight.T * 1e-3

    whole = gradient_signs(logits_of, normalized(images), labels)
    parts = [gradient_signs(logits_of, normalized(images[place : place + 1]), labels[place : place + 1]) for place in range(len(images))]
    assert torch.equal(whole, torch.cat(parts))
