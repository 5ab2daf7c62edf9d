"""The objectives: sums of the right parts, equal to a loop over pictures, heads of their own."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2m2.models import LinearHead, initialise
from s2m2.recipe import FinetuneConfig, ModelConfig, PretrainConfig, Recipe
from s2m2.seeding import generator_for
from s2m2.training.build import check_mix_stages, pretrain_objective
from s2m2.training.manifold_mixup import Inner, ManifoldMixup
from tests.reference.exemplar import exemplar_loss
from tests.training.networks import BATCH, CLASSES, batch, network, stream


def build(objective: str = "rotation", **settings: object) -> Inner:
    recipe = Recipe(pretrain=PretrainConfig(objective=objective, **settings))  # type: ignore[arg-type]
    inner = pretrain_objective(recipe, network().feature_dim, CLASSES)
    initialise(inner, generator_for(0, "heads"))
    return inner


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.stack([-F.log_softmax(row, dim=0)[label] for row, label in zip(logits, labels, strict=True)]).mean()


def test_all_four_turns_are_the_mean_over_pictures_and_turns() -> None:
    backbone, inner, (views, labels) = network(), build(rotations="all"), batch()
    class_loss, turn_loss = [], []
    for image, label in zip(views[0], labels, strict=True):
        for turn in range(4):
            features = backbone(torch.rot90(image, turn, (1, 2))[None])
            class_loss.append(cross_entropy(inner.class_head(features), label[None]))
            turn_loss.append(cross_entropy(inner.turn_head(features), torch.tensor([turn])))
    terms = inner(backbone, views, labels, stream())
    torch.testing.assert_close(terms.total, torch.stack(class_loss).mean() + torch.stack(turn_loss).mean())
    torch.testing.assert_close(terms.parts["rotation"], torch.stack(turn_loss).mean())


def test_one_random_turn_is_all_four_in_expectation() -> None:
    backbone, (views, labels) = network(), batch()
    with torch.no_grad():
        exact = build(rotations="all")(backbone, views, labels, stream()).total
        drawn = torch.stack([build(rotations="one")(backbone, views, labels, stream(step)).total for step in range(300)])
    assert abs(drawn.mean() - exact) < 4 * drawn.std() / 300**0.5
    assert drawn.std() > 0


def test_the_weights_scale_the_parts() -> None:
    backbone, (views, labels) = network(), batch()
    terms = build(rotations="all", classification_weight=0.25, self_supervision_weight=3.0)(backbone, views, labels, stream())
    torch.testing.assert_close(terms.total.detach(), 0.25 * terms.parts["class"] + 3 * terms.parts["rotation"])


def test_exemplar_compares_the_copies_of_the_batch() -> None:
    backbone, inner, (views, labels) = network(), build("exemplar"), batch(views=4)
    features = backbone(views.flatten(0, 1)).unflatten(0, (4, BATCH))
    terms = inner(backbone, views, labels, stream())
    torch.testing.assert_close(terms.parts["exemplar"].double(), exemplar_loss(features.double()).detach(), rtol=1e-4, atol=1e-5)
    copies = torch.cat([inner.class_head(backbone(view)) for view in views])
    torch.testing.assert_close(terms.parts["class"], cross_entropy(copies, labels.repeat(4)).detach())


def test_supervised_is_the_classes_alone() -> None:
    backbone, inner, (views, labels) = network(), build("supervised"), batch()
    torch.testing.assert_close(inner(backbone, views, labels, stream()).total, cross_entropy(inner.class_head(backbone(views[0])), labels))


@pytest.mark.parametrize("objective", ["supervised", "rotation", "exemplar"])
def test_stage_two_is_mixup_plus_half_of_stage_one_on_a_quarter(objective: str) -> None:
    backbone, inner = network(), build(objective, **({"rotations": "all"} if objective == "rotation" else {}))
    views, labels = batch(inner.views)
    mixup = ManifoldMixup(inner, FinetuneConfig())
    mix = mixup.draw_mix(backbone, stream(), views.device)
    logits = inner.class_head(backbone(views[0], mix))
    weight = float(mix.weight)
    mixed = weight * cross_entropy(logits, labels) + (1 - weight) * cross_entropy(logits, labels[mix.partner])
    beside = inner(backbone, views[:, ::4], labels[::4], stream())
    torch.testing.assert_close(mixup(backbone, views, labels, stream()).total, mixed + 0.5 * beside.total, rtol=1e-4, atol=1e-4)


def test_every_stage_is_mixed_equally_often_and_the_weights_are_beta() -> None:
    mixup, backbone = ManifoldMixup(build(), FinetuneConfig(alpha=2.0)), network()
    mixes = [mixup.draw_mix(backbone, stream(step), torch.device("cpu")) for step in range(2000)]
    counts = torch.bincount(torch.tensor([mix.stage for mix in mixes]), minlength=4)
    assert len(counts) == 4
    assert (counts - 500).abs().max() < 5 * (2000 * 0.25 * 0.75) ** 0.5
    weights = torch.stack([mix.weight for mix in mixes])
    # Beta(2, 2): mean 1/2, variance 1/20.
    assert abs(weights.mean() - 0.5) < 0.02
    assert abs(weights.var() - 0.05) < 0.005


def test_all_processes_draw_the_same_stage_and_weight_and_partners_of_their_own() -> None:
    mixup, backbone = ManifoldMixup(build(), FinetuneConfig()), network()
    alone = mixup.draw_mix(backbone, stream(), torch.device("cpu"))
    shares = [mixup.draw_mix(backbone, stream(rank=rank, world_size=2), torch.device("cpu")) for rank in (0, 1)]
    assert all(share.stage == alone.stage and torch.equal(share.weight, alone.weight) for share in shares)
    assert torch.equal(torch.cat([shares[0].partner, shares[1].partner + BATCH // 2]), alone.partner)


def test_mixing_is_limited_to_the_stages_asked_for() -> None:
    mixup, backbone = ManifoldMixup(build(), FinetuneConfig(mix_stages=(2, 4))), network()
    assert {mixup.draw_mix(backbone, stream(step), torch.device("cpu")).stage for step in range(50)} == {2, 4}


def test_a_stage_that_the_backbone_lacks_is_an_error_that_names_the_flag() -> None:
    recipe = Recipe(finetune=FinetuneConfig(mix_stages=(0, 9)))
    with pytest.raises(ValueError, match=r"--finetune\.mix_stages has 9, but conv4 has stages 0 to 4"):
        check_mix_stages(recipe, network())


@pytest.mark.parametrize("objective", ["supervised", "rotation", "exemplar"])
def test_heads_belong_to_the_objective_and_not_to_the_backbone(objective: str) -> None:
    inner = build(objective)
    assert all(name.split(".")[0] in {"class_head", "turn_head"} for name in inner.state_dict())
    assert all(name.startswith("stages.") for name in network().state_dict())


def test_a_linear_head_can_take_the_place_of_the_cosine_head() -> None:
    inner = pretrain_objective(Recipe(model=ModelConfig(head="linear")), 8, CLASSES)
    assert isinstance(inner.class_head, LinearHead)
    assert isinstance(inner, nn.Module)
