"""The objectives: sums of the right parts, equal to a loop over images, with heads under flat keys."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms.v2 import CutMix

from s2m2.errors import InputError
from s2m2.mixup import Mix, soft_cross_entropy
from s2m2.models import LinearHead, initialize
from s2m2.random import generator_for
from s2m2.recipe import FinetuneConfig, ModelConfig, PretrainConfig, Recipe
from s2m2.recipe.training import MixConfig
from s2m2.training.objectives import Objective, check_mix_stages, finetune_objective, mixed_loss, pretrain_objective, sample_step_mix
from s2m2.training.step import Networks
from tests.reference.selfsupervision import exemplar_loss
from tests.training.networks import BATCH, CLASSES, batch, network, stream


def build(objective: str = "rotation", **settings: object) -> Objective:
    recipe = Recipe(pretrain=PretrainConfig(objective=objective, **settings))  # type: ignore[arg-type]
    inner = pretrain_objective(recipe, network().feature_dim, CLASSES)
    initialize(inner, generator_for(0, "heads"))
    return inner


def fine_tuning(inner: Objective, mix: MixConfig = MixConfig()) -> Objective:  # noqa: B008 (frozen)
    return finetune_objective(Recipe(finetune=FinetuneConfig(mix=mix)), inner)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.stack([-F.log_softmax(row, dim=0)[label] for row, label in zip(logits, labels, strict=True)]).mean()


def test_all_four_rotations_are_the_mean_over_images_and_rotations() -> None:
    backbone, inner, (views, labels) = network(), build(rotations="all"), batch()
    class_loss, task_loss = [], []
    for image, label in zip(views[0], labels, strict=True):
        for rotation in range(4):
            features = backbone(torch.rot90(image, rotation, (1, 2))[None])
            class_loss.append(cross_entropy(inner.heads["classifier"](features), label[None]))
            task_loss.append(cross_entropy(inner.heads["rotation"](features), torch.tensor([rotation])))
    terms = inner(backbone, views, labels, stream())
    torch.testing.assert_close(terms.total, torch.stack(class_loss).mean() + torch.stack(task_loss).mean())
    torch.testing.assert_close(terms.parts["rotation"], torch.stack(task_loss).mean())


def test_one_random_rotation_is_all_four_in_expectation() -> None:
    backbone, (views, labels) = network(), batch()
    with torch.no_grad():
        exact = build(rotations="all")(backbone, views, labels, stream()).total
        inner = build(rotations="one")
        samples = torch.stack([inner(backbone, views, labels, stream(step)).total for step in range(300)])
    assert abs(samples.mean() - exact) < 4 * samples.std() / 300**0.5
    assert samples.std() > 0


def test_the_weights_scale_the_parts() -> None:
    backbone, (views, labels) = network(), batch()
    terms = build(rotations="all", classification_weight=0.25, self_supervision_weight=3.0)(backbone, views, labels, stream())
    torch.testing.assert_close(terms.total.detach(), 0.25 * terms.parts["class"] + 3 * terms.parts["rotation"])


def test_exemplar_compares_the_copies_of_the_batch() -> None:
    backbone, inner, (views, labels) = network(), build("exemplar"), batch(views=4)
    features = backbone(views.flatten(0, 1)).unflatten(0, (4, BATCH))
    terms = inner(backbone, views, labels, stream())
    torch.testing.assert_close(terms.parts["exemplar"].double(), exemplar_loss(features.double()).detach(), rtol=1e-4, atol=1e-5)
    copies = torch.cat([inner.heads["classifier"](backbone(view)) for view in views])
    torch.testing.assert_close(terms.parts["class"], cross_entropy(copies, labels.repeat(4)).detach())


@pytest.mark.parametrize("objective", ["supervised", "rotation", "exemplar"])
def test_label_smoothing_spreads_a_fraction_of_the_target_over_all_classes(objective: str) -> None:
    backbone, smooth, plain = network(), build(objective, label_smoothing=0.2), build(objective)
    views, labels = batch(plain.views)
    logits_and_means: list[tuple[Tensor, Tensor]] = []
    smooth.heads["classifier"].register_forward_hook(
        lambda module, inputs, logits: logits_and_means.append((logits, F.log_softmax(logits, dim=1).mean(dim=1)))
    )
    smoothed, unsmoothed = (terms(backbone, views, labels, stream()).parts["class"] for terms in (smooth, plain))
    torch.testing.assert_close(smoothed, 0.8 * unsmoothed - 0.2 * logits_and_means[0][1].detach().mean())


def test_supervised_is_the_classes_alone() -> None:
    backbone, inner, (views, labels) = network(), build("supervised"), batch()
    logits = inner.heads["classifier"](backbone(views[0]))
    torch.testing.assert_close(inner(backbone, views, labels, stream()).total, cross_entropy(logits, labels))


@pytest.mark.parametrize("objective", ["supervised", "rotation", "exemplar"])
def test_stage_two_is_mixup_plus_half_of_stage_one_on_a_quarter(objective: str) -> None:
    backbone, inner = network(), build(objective, **({"rotations": "all"} if objective == "rotation" else {}))
    views, labels = batch(inner.views)
    finetuning = fine_tuning(inner)
    mix = sample_step_mix(MixConfig(), len(backbone.stages), labels, stream())
    logits, weight = inner.heads["classifier"](backbone(views[0], mix)), float(mix.weights)
    mixed = (1 - weight) * cross_entropy(logits, labels) + weight * cross_entropy(logits, labels[mix.partners[0]])
    beside = inner(backbone, views[:, ::4], labels[::4], stream())
    torch.testing.assert_close(finetuning(backbone, views, labels, stream()).total, mixed + 0.5 * beside.total, rtol=1e-4, atol=1e-4)


def test_the_weights_of_stage_one_leave_stage_two_alone() -> None:
    backbone, (views, labels) = network(), batch()
    inner = build(rotations="all", classification_weight=0.5, self_supervision_weight=0.5)
    plain = Objective(inner.heads, build(rotations="all").loss)
    halved, whole = (fine_tuning(one)(backbone, views, labels, stream()) for one in (inner, plain))
    torch.testing.assert_close(halved.total, whole.total)
    recipe = Recipe(finetune=FinetuneConfig(classification_weight=0.25, self_supervision_weight=3.0))
    weighted = finetune_objective(recipe, inner)(backbone, views, labels, stream())
    beside = 0.25 * weighted.parts["class"] + 3 * weighted.parts["rotation"]
    torch.testing.assert_close(weighted.total.detach(), weighted.parts["mixup"] + 0.5 * beside)


def test_mixup_from_random_weights_is_the_loss_of_mixed_images_alone() -> None:
    backbone, (views, labels) = network(), batch()
    objective = build("mixup", mix=MixConfig(stages=(0,)))
    mix = sample_step_mix(MixConfig(stages=(0,)), len(backbone.stages), labels, stream())
    logits = objective.heads["classifier"](backbone(mix.blend(views[0])))
    weight = float(mix.weights)
    mixed = (1 - weight) * cross_entropy(logits, labels) + weight * cross_entropy(logits, labels[mix.partners[0]])
    torch.testing.assert_close(objective(backbone, views, labels, stream()).total, mixed)


@pytest.mark.parametrize("partners", ["batch", "class", "second_batch"])
def test_alpha_0_is_plain_training(partners: str) -> None:
    (views, labels), plain, mixed = batch(), network().train(), network().train()
    one, other = build("supervised"), build("mixup", mix=MixConfig(alpha=0.0, partners=partners))  # type: ignore[arg-type]
    assert other.batches == 1
    one(plain, views, labels, stream()).total.backward()
    other(mixed, views, labels, stream()).total.backward()
    for one_weight, other_weight in zip(mixed.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one_weight.grad, other_weight.grad, rtol=1e-5, atol=1e-7)


def test_the_second_batch_gives_partners_and_nothing_else() -> None:
    backbone, (views, labels) = network(), batch()
    both = torch.cat([views, views.flip(1)], dim=1), torch.cat([labels, labels.flip(0)])
    objective = build("mixup", mix=MixConfig(stages=(0,), partners="second_batch"))
    assert objective.batches == 2
    mix = sample_step_mix(MixConfig(stages=(0,)), len(backbone.stages), labels, stream())
    by_hand = Mix(stage=0, weights=mix.weights, partners=torch.arange(BATCH - 1, -1, -1)[None])
    logits = objective.heads["classifier"](backbone(views[0], by_hand))
    expected = soft_cross_entropy(logits, by_hand.targets(labels, CLASSES))
    torch.testing.assert_close(objective(backbone, *both, stream()).total, expected)


def test_stage_two_puts_the_losses_of_stage_one_beside_the_first_batch_alone() -> None:
    backbone, inner, (views, labels) = network(), build("supervised"), batch()
    both = torch.cat([views, views.flip(1)], dim=1), torch.cat([labels, labels.flip(0)])
    finetuning = fine_tuning(inner, MixConfig(partners="second_batch"))
    beside = inner(backbone, views[:, ::4], labels[::4], stream())
    torch.testing.assert_close(finetuning(backbone, *both, stream()).parts["class"], beside.parts["class"])


def test_cutmix_is_torchvisions_on_the_same_samples() -> None:
    backbone, (views, labels) = network(), batch()
    objective = build("mixup", mix=MixConfig(method="cutmix", alpha=1.0))
    torch.manual_seed(3)
    terms = objective(backbone, views, labels, stream())
    torch.manual_seed(3)
    images, targets = CutMix(num_classes=CLASSES, alpha=1.0)(views[0], labels)
    expected = -(targets * F.log_softmax(objective.heads["classifier"](backbone(images)), dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(terms.total, expected)
    parameters = list(backbone.parameters())
    gradients, references = (torch.autograd.grad(loss, parameters) for loss in (terms.total, expected))
    for gradient, reference in zip(gradients, references, strict=True):
        assert reference.any()
        torch.testing.assert_close(gradient, reference)


def test_cutmix_takes_any_classifier_that_tells_its_classes() -> None:
    backbone, (views, labels), config = network(), batch(), MixConfig(method="cutmix", alpha=1.0)
    linear = nn.Linear(backbone.feature_dim, CLASSES)
    assert mixed_loss(backbone, linear, views[0], labels, config, stream()).isfinite()
    with pytest.raises(InputError, match="classifier is a Sequential without an attribute classes"):
        mixed_loss(backbone, nn.Sequential(linear), views[0], labels, config, stream())


@pytest.mark.parametrize("mix", [MixConfig(method="cutmix", alpha=1.0), MixConfig(num_images=3), MixConfig(loss="binary_cross_entropy")])
def test_mixing_trains_in_mixed_precision(mix: MixConfig) -> None:
    backbone, (views, labels) = network(), batch()
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = build("mixup", mix=mix)(backbone, views, labels, stream()).total
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(values.grad is not None and values.grad.isfinite().all() for values in backbone.parameters())


def test_a_stage_that_the_backbone_lacks_is_an_error_that_names_the_flag() -> None:
    with pytest.raises(ValueError, match=r"--finetune\.mix\.stages has 9, but the backbone has stages 0 to 4"):
        check_mix_stages("finetune.mix", MixConfig(stages=(0, 9)), network())


@pytest.mark.parametrize("objective", ["supervised", "rotation", "exemplar", "mixup"])
def test_keys_are_flat_and_those_of_both_stages_are_the_same(objective: str) -> None:
    backbone, inner = network(), build(objective)
    heads = {"classifier", "rotation"} if objective == "rotation" else {"classifier"}
    assert {tuple(name.split(".")[:2]) for name in inner.state_dict()} == {("heads", head) for head in heads}
    after = finetune_objective(Recipe(pretrain=PretrainConfig(objective=objective)), inner)  # type: ignore[arg-type]
    assert after.state_dict().keys() == inner.state_dict().keys()
    assert after.heads is inner.heads
    networks = Networks(backbone, after)
    assert set(networks.state_dict()) == {f"backbone.{name}" for name in backbone.state_dict()} | set(inner.state_dict())
    copied = deepcopy(networks)
    assert copied.objective.heads is copied.heads


def test_a_linear_head_can_take_the_place_of_the_cosine_head() -> None:
    inner = pretrain_objective(Recipe(model=ModelConfig(head="linear")), 8, CLASSES)
    assert isinstance(inner.heads["classifier"], LinearHead)
    assert isinstance(inner, nn.Module)
