"""S2M2 in a training loop of one's own: manifold mixup in any module, rotations, and the losses of both self-supervised tasks."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import s2m2

pytestmark = pytest.mark.usefixtures("one_thread")


class Net(nn.Module):
    """A network that knows nothing of mixing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.layer1 = nn.Sequential(nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2))
        self.layer2 = nn.Sequential(nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2))
        self.fc = nn.Linear(8, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.layer2(self.layer1(self.conv1(images))).mean(dim=(2, 3)))


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(6, 3, 16, 16, generator=generator), torch.randint(5, (6,), generator=generator)


def test_five_lines_add_manifold_mixup(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, labels = batch
    net = Net()
    mixup = s2m2.ManifoldMixup([net.conv1, net.layer1, net.layer2], alpha=2.0, seed=0)
    losses = []
    for _ in range(4):
        logits, targets = mixup(net, images, labels, num_classes=5)
        loss = F.cross_entropy(logits, targets)
        loss.backward()
        losses.append(loss.item())
        assert logits.shape == targets.shape == (6, 5)
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))
    assert len(set(losses)) == 4  # every step has another mixture
    torch.testing.assert_close(net(images), net(images))  # no hook stays behind
    again = s2m2.ManifoldMixup([net.conv1, net.layer1, net.layer2], alpha=2.0, seed=0)
    assert F.cross_entropy(*again(net, images, labels, num_classes=5)).item() == losses[0]


def test_four_rotations_or_one_at_random(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, _ = batch
    rotated, labels = s2m2.rotate90_batch(images)
    assert rotated.shape == (24, 3, 16, 16)
    for image, label, original in zip(rotated, labels, images.repeat(4, 1, 1, 1), strict=True):
        assert any(torch.equal(image, torch.rot90(original, rotations, (1, 2))) for rotations in (int(label), -int(label)))
    assert sorted(labels.tolist()) == sorted([0, 1, 2, 3] * 6)
    logits = torch.zeros(24, 4, requires_grad=True)
    loss = s2m2.rotation_loss(logits, labels)
    loss.backward()
    torch.testing.assert_close(loss.detach(), torch.tensor(4.0).log())


def test_copies_of_an_image_come_nearer_by_the_exemplar_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(4 * 3, 8, generator=generator, requires_grad=True)
    loss = s2m2.exemplar_loss(features, copies=4)
    loss.backward()
    assert loss.ndim == 0
    assert features.grad is not None
    assert bool(features.grad.isfinite().all())
    with pytest.raises(ValueError, match="copies"):
        s2m2.exemplar_loss(features, copies=5)
