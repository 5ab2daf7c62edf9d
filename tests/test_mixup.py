"""`Mix` and its losses against loops over images and classes, in value and gradient, and what must not change an image."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from s2m2.mixup import Mix, soft_binary_cross_entropy, soft_cross_entropy
from s2m2.models import BUILDERS
from s2m2.random import generator_for
from tests.models.tiny import tiny_backbone
from tests.reference import mixup as reference
from tests.reference.comparison import assert_twins_agree

BATCH, CLASSES = 4, 3
LABELS = torch.tensor([0, 2, 2, 1])
PARTNERS = torch.tensor([[2, 1, 3, 0]])
TWO_PARTNERS = torch.tensor([[2, 3, 3, 0], [1, 0, 1, 2]])
MIXTURES = {
    "one weight": (torch.tensor([0.7]), PARTNERS),
    "a weight each": (torch.tensor([[0.7, 0.1, 0.5, 0.95]]), PARTNERS),
    "two partners": (torch.tensor([0.3, 0.6]), TWO_PARTNERS),
    "two partners, weights each": (torch.tensor([[0.3, 0.1, 0.0, 0.5], [0.6, 0.2, 1.0, 0.25]]), TWO_PARTNERS),
}
STAGES = range(5)
"""Before each of a backbone's four stages, and after the last."""


def images(rows: int = BATCH, size: int = 28) -> Tensor:
    return torch.randn(rows, 3, size, size, generator=generator_for(0, "images"))


def mixture(name: str, stage: int = 0) -> Mix:
    weights, partners = MIXTURES[name]
    return Mix(stage=stage, weights=weights.double(), partners=partners)


def weights_each(mix: Mix) -> Tensor:
    return mix.weights if mix.weights.ndim == 2 else mix.weights[:, None].expand(-1, mix.partners.shape[1])


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("backbone_name", BUILDERS)
def test_mixing_before_any_stage_equals_a_loop_over_images_in_value_and_gradient(backbone_name: str, stage: int) -> None:
    compare_with_loop(backbone_name, mixture("a weight each", stage), images())


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("stage", [0, 2, 4])
def test_every_kind_of_mixture_equals_a_loop_over_images_in_value_and_gradient(name: str, stage: int) -> None:
    compare_with_loop("conv4", mixture(name, stage), images())


@pytest.mark.parametrize("stage", [0, 2, 4])
def test_partners_from_a_second_batch_equal_a_loop_over_images_in_value_and_gradient(stage: int) -> None:
    partners = torch.arange(BATCH, 2 * BATCH)[None]
    compare_with_loop("conv4", Mix(stage=stage, weights=torch.tensor([0.4]).double(), partners=partners), images(2 * BATCH))


def compare_with_loop(backbone_name: str, mix: Mix, images: Tensor) -> None:
    backbone = tiny_backbone(backbone_name).double()
    names, values = zip(*backbone.named_parameters(), strict=True)

    def fast(images: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(backbone, dict(zip(names, parameters, strict=True)), (images, mix))

    def slow(images: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(StagesByHand(backbone.stages, mix), dict(zip(names, parameters, strict=True)), (images,))

    assert_twins_agree(fast, slow, images, *values)


class StagesByHand(torch.nn.Module):
    """The slow twin as a module, so that it takes its parameters from the comparison."""

    def __init__(self, stages: torch.nn.ModuleList, mix: Mix) -> None:
        super().__init__()
        self.stages, self.mix = stages, mix

    def forward(self, images: Tensor) -> Tensor:
        return reference.features(self.stages, images, self.mix.stage, weights_each(self.mix), self.mix.partners.tolist())


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("kind", ["cross_entropy", "binary_cross_entropy"])
def test_the_losses_equal_loops_over_classes_in_value_and_gradient(name: str, kind: str) -> None:
    mix = mixture(name)
    logits = torch.randn(BATCH, CLASSES, generator=generator_for(0, "logits"))
    loss = {"cross_entropy": soft_cross_entropy, "binary_cross_entropy": soft_binary_cross_entropy}[kind]
    targets = reference.targets(LABELS.tolist(), CLASSES, weights_each(mix), mix.partners.tolist())
    assert_twins_agree(
        lambda logits: loss(logits, mix.targets(LABELS, CLASSES)), lambda logits: getattr(reference, kind)(logits, targets), logits
    )


def test_the_loss_of_a_mixture_is_the_mixture_of_the_losses() -> None:
    # S2M2's L_mm is written so: lambda CE(logits, y) + (1 - lambda) CE(logits, y').
    logits = torch.randn(BATCH, CLASSES, generator=generator_for(0, "logits"))
    mix = Mix(stage=0, weights=torch.tensor([0.3]), partners=PARTNERS)
    apart = 0.7 * F.cross_entropy(logits, LABELS) + 0.3 * F.cross_entropy(logits, LABELS[PARTNERS[0]])
    torch.testing.assert_close(soft_cross_entropy(logits, mix.targets(LABELS, CLASSES)), apart)


def test_both_losses_are_one_for_two_classes_in_value_and_gradient() -> None:
    logits = torch.randn(64, 2, generator=generator_for(0, "logits"))
    weights = torch.rand(64, 1, generator=generator_for(0, "targets"), dtype=torch.float64)
    targets = torch.cat([weights, 1 - weights], dim=1)
    assert_twins_agree(
        lambda logits: soft_binary_cross_entropy(logits, targets), lambda logits: soft_cross_entropy(logits, targets), logits
    )


def test_the_binary_loss_stays_finite_and_exact_where_a_class_is_certain() -> None:
    logits = torch.tensor([[40.0, 0.0, -40.0]], requires_grad=True)
    targets = torch.tensor([[0.0, 1.0, 0.0]])
    loss = soft_binary_cross_entropy(logits, targets)
    loss.backward()
    # -1/3 (log p_1 + log(1 - p_0)) with p_1 = exp(-40) and 1 - p_0 = exp(-40), to float32's digits.
    torch.testing.assert_close(loss.detach(), torch.tensor(80.0 / 3))
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_the_binary_loss_is_torchs_over_64_classes() -> None:
    logits = torch.randn(20, 64, generator=generator_for(0, "logits"), dtype=torch.float64)
    targets = torch.rand(20, 64, generator=generator_for(0, "targets"), dtype=torch.float64).softmax(1)
    expected = torch.nn.BCELoss()(logits.softmax(1), targets)
    torch.testing.assert_close(soft_binary_cross_entropy(logits, targets), expected)


def test_a_single_class_has_no_loss() -> None:
    logits = torch.randn(4, 1, requires_grad=True)
    for loss in (soft_cross_entropy, soft_binary_cross_entropy):
        value = loss(logits, torch.ones(4, 1))
        value.backward()
        assert float(value.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("weights", [torch.tensor([0.0]), torch.zeros(1, BATCH)], ids=["one weight", "a weight each"])
def test_weight_one_of_an_image_is_plain_training(weights: Tensor) -> None:
    backbone = tiny_backbone("resnet12")
    plain = backbone(images())
    for stage in STAGES:
        mix = Mix(stage=stage, weights=weights, partners=PARTNERS)
        assert torch.equal(backbone(images(), mix), plain)
        assert torch.equal(mix.targets(LABELS, CLASSES), F.one_hot(LABELS, CLASSES).float())
    torch.testing.assert_close(soft_cross_entropy(plain, mix.targets(LABELS, plain.shape[1])), F.cross_entropy(plain, LABELS))


def test_mixing_images_with_themselves_changes_nothing() -> None:
    backbone = tiny_backbone("wrn28_10")
    plain = backbone(images())
    for stage in STAGES:
        mix = Mix(stage=stage, weights=torch.tensor([0.3, 0.3]), partners=torch.arange(BATCH).expand(2, -1))
        assert torch.equal(backbone(images(), mix), plain)


def test_exchanging_image_and_partner_exchanges_the_weights() -> None:
    swapped = torch.tensor([[1, 0, 3, 2]])
    mixed = Mix(stage=0, weights=torch.tensor([0.3]), partners=swapped).blend(images())
    exchanged = Mix(stage=0, weights=torch.tensor([0.7]), partners=swapped).blend(images())
    torch.testing.assert_close(mixed, exchanged[swapped[0]])


def test_the_order_of_partners_does_not_matter() -> None:
    one = Mix(stage=0, weights=torch.tensor([0.3, 0.5]), partners=TWO_PARTNERS)
    other = Mix(stage=0, weights=torch.tensor([0.5, 0.3]), partners=TWO_PARTNERS.flip(0))
    torch.testing.assert_close(one.blend(images()), other.blend(images()))


def test_targets_are_weights_that_sum_to_one() -> None:
    for name in MIXTURES:
        targets = mixture(name).targets(LABELS, CLASSES)
        assert (targets >= -1e-12).all()
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(BATCH, dtype=torch.float64))


def test_mixing_keeps_the_kind_of_numbers_of_the_representation() -> None:
    mix = Mix(stage=0, weights=torch.tensor([[0.7, 0.1, 0.5, 0.95]]), partners=PARTNERS)
    assert mix.blend(images().bfloat16()).dtype == torch.bfloat16
