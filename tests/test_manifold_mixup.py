"""`ManifoldMixup` in any network: what fine-tuning mixes, to the last bit; hooks that go away; and wrong use named."""

from collections.abc import Iterable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2m2.errors import InputError
from s2m2.mixup import ManifoldMixup, Mix
from s2m2.random import StepStream, generator_for
from s2m2.recipe.training import MixConfig
from s2m2.training.objectives import sample_step_mix
from tests.models.tiny import tiny_backbone

CLASSES, BATCH = 5, 16
IMAGES = torch.randn(BATCH, 3, 28, 28, generator=generator_for(0, "images"))
LABELS = torch.randint(CLASSES, (BATCH,), generator=generator_for(0, "labels"))


class Net(nn.Module):
    """A user-defined network, with features between its classifier and three layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2)
        self.second = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3, stride=2))
        self.classifier = nn.Linear(8, CLASSES)
        self.unused = nn.Linear(8, 8)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.second(self.first(images)).mean((2, 3)))


def step_mix(step: int, stages: int, labels: Tensor = LABELS, **settings: Any) -> Mix:
    """What fine-tuning with seed 3 samples."""
    stream = StepStream(seed=3, stage="finetune", step=step, batch_size=len(labels))
    return sample_step_mix(MixConfig(**settings), stages, labels, stream)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("wrn28_10", {}),
        ("conv4", {}),
        ("conv4", {"alpha": 0.5, "per_sample": True}),
        ("conv4", {"prob": 0.5}),
        ("conv4", {"num_images": 3}),
        ("conv4", {"partners": "class"}),
        ("conv4", {"alpha": 0.0}),
    ],
)
def test_it_mixes_a_backbone_as_fine_tuning_does_to_the_last_bit(name: str, settings: dict[str, Any]) -> None:
    hooked, plain = tiny_backbone(name), tiny_backbone(name)
    mixup = ManifoldMixup(list(hooked.stages), seed=3, **settings)
    stages = set()
    for step in range(8):
        features, targets = mixup(hooked, IMAGES, LABELS, num_classes=CLASSES)
        mix = step_mix(step, len(plain.stages), **settings)
        expected = plain(IMAGES, mix)
        assert torch.equal(features, expected)
        assert torch.equal(targets, mix.targets(LABELS, CLASSES))
        for backbone, values in ((hooked, features), (plain, expected)):
            backbone.zero_grad()
            values.square().mean().backward()
        assert all(torch.equal(one.grad, other.grad) for one, other in zip(hooked.parameters(), plain.parameters(), strict=True))
        stages.add(mix.stage)
    assert len(stages) > 1
    assert all(torch.equal(value, plain.state_dict()[key]) for key, value in hooked.state_dict().items())  # batch statistics


def test_a_classifier_in_the_list_mixes_features_and_the_input_comes_first() -> None:
    net = Net().eval()
    mixup = ManifoldMixup([net.second, net.classifier], seed=3, include_input=True)
    stages = set()
    for step in range(20):
        logits, _ = mixup(net, IMAGES, LABELS, num_classes=CLASSES)
        mix = step_mix(step, 3)
        by_hand = {
            0: lambda: net(mix.blend(IMAGES)),  # noqa: B023
            1: lambda: net.classifier(net.second(mix.blend(net.first(IMAGES))).mean((2, 3))),  # noqa: B023
            2: lambda: net.classifier(mix.blend(net.second(net.first(IMAGES)).mean((2, 3)))),  # noqa: B023
        }[mix.stage]()
        assert torch.equal(logits, by_hand)
        stages.add(mix.stage)
    assert stages == {0, 1, 2}


def test_a_network_of_ones_own_learns_in_five_lines() -> None:
    torch.manual_seed(0)
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    mixup = ManifoldMixup([net.first, net.second, net.classifier], seed=0)
    losses = []
    for _ in range(40):
        logits, targets = mixup(net, IMAGES, LABELS, num_classes=CLASSES)
        loss = F.cross_entropy(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) < sum(losses[:10])


def test_a_smaller_last_batch_has_its_partners_in_itself() -> None:
    net, mixup = Net(), ManifoldMixup([], seed=3, include_input=True)
    for count in (BATCH, 7, 2):
        _, targets = mixup(net, IMAGES[:count], LABELS[:count], num_classes=CLASSES)
        assert targets.shape == (count, CLASSES)
        torch.testing.assert_close(targets.sum(1), torch.ones(count))


def test_a_resumed_object_goes_on_as_the_other_one_would() -> None:
    net = Net().eval()
    whole = ManifoldMixup([net.first, net.second], seed=1)
    outputs = [whole(net, IMAGES, LABELS, num_classes=CLASSES)[0] for _ in range(6)]
    resumed = ManifoldMixup([net.first, net.second], seed=1)
    resumed.load_state_dict({"step": 4})
    assert torch.equal(resumed(net, IMAGES, LABELS, num_classes=CLASSES)[0], outputs[4])
    assert resumed.state_dict() == {"step": 5}


def test_no_hook_stays_behind_even_after_an_error() -> None:
    net = Net()
    mixup = ManifoldMixup([net.first, net.second], seed=1)
    mixup(net, IMAGES, LABELS, num_classes=CLASSES)
    with pytest.raises(RuntimeError):
        mixup(net, IMAGES[:, :2], LABELS, num_classes=CLASSES)
    assert not any(module._forward_pre_hooks for module in net.modules())
    assert mixup.step == 1


class Twice(Net):
    def forward(self, images: Tensor) -> Tensor:
        self.first(images)
        return super().forward(images)


class ByKeyword(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Flatten()

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(input=images)


class Unbatched(ByKeyword):
    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.flatten(0, 1))


def call(net: nn.Module, layers: Iterable[nn.Module], images: Tensor = IMAGES, labels: Tensor = LABELS, **settings: Any) -> object:
    return ManifoldMixup(layers, **settings)(net, images, labels, num_classes=CLASSES)


NET, TWICE, KEYWORD, UNBATCHED, COMPILED = Net(), Twice(), ByKeyword(), Unbatched(), Net()
COMPILED._compiled_call_impl = COMPILED._call_impl  # as `COMPILED.compile()` does


@pytest.mark.parametrize(
    ("net", "layers", "settings", "message"),
    [
        (NET, [], {}, "layers is empty"),
        (NET, [NET.first, NET.first], {}, "layers has the same layer twice"),
        (NET, iter([torch.relu]), {}, r"layers\[0\] is of type builtin_function_or_method, but must be an nn.Module"),
        (NET, [NET.first, TWICE.second], {}, r"layers\[1\], a Sequential, is not a layer of net"),
        (NET, [NET.first, NET.unused], {}, "layers: unused did not run in the forward pass"),
        (TWICE, [TWICE.first], {}, "layers: first runs more than once"),
        (KEYWORD, [KEYWORD.layer], {}, 'layers: layer does not get a tensor "batch ..." of 16 images as its first positional'),
        (UNBATCHED, [UNBATCHED.layer], {}, "layers: layer does not get a tensor"),
        (COMPILED, [COMPILED.first], {}, "net: net is compiled around the layers"),
        (nn.DataParallel(NET), [NET.first], {}, "net is an nn.DataParallel"),
        (NET, [NET.first], {"alpha": -1.0}, "alpha is -1.0, but must be 0 or more"),
        (NET, [NET.first], {"alpha": float("nan")}, "alpha is nan"),
        (NET, [NET.first], {"prob": 0.0}, "prob is 0.0"),
        (NET, [NET.first], {"num_images": 1}, "num_images is 1"),
        (NET, [NET.first], {"images": IMAGES[:1], "labels": LABELS[:1]}, "images has 1 image"),
        (NET, [NET.first], {"images": IMAGES[:3], "labels": LABELS[:3], "num_images": 4}, "num_images is 4, but the batch has 3"),
        (NET, [NET.first], {"labels": LABELS[:-1]}, r"labels has shape \(15,\), but there are 16 images"),
        (NET, [NET.first], {"labels": F.one_hot(LABELS)}, "labels has shape"),
        (NET, [NET.first], {"labels": LABELS.float()}, "labels is torch.float32"),
        (NET, [NET.first], {"labels": LABELS + 1}, r"labels goes from 1 to 5, but num_classes is 5"),
        (NET, [NET.first], {"labels": LABELS - 1}, r"labels goes from -1"),
    ],
)
def test_wrong_use_is_named(net: nn.Module, layers: Iterable[nn.Module], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        call(net, layers, **settings)
    assert not any(module._forward_pre_hooks for module in net.modules())
