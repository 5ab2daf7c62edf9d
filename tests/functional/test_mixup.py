import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from s2m2.functional.mixup import Mix, draw_partners
from s2m2.models import BUILDERS
from s2m2.recipe.model import BackboneName
from s2m2.seeding import generator_for
from tests.models.tiny import tiny_backbone
from tests.reference import mixup as reference
from tests.reference.comparison import assert_twins_agree

BATCH = 4
PARTNERS = torch.tensor([2, 1, 3, 0])
ONE_WEIGHT = torch.tensor(0.3)
WEIGHTS = torch.tensor([0.3, 0.9, 0.5, 0.05])
STAGES = range(5)
"""Before each of a backbone's four stages, and after the last."""


def pictures(batch: int = BATCH, side: int = 28) -> Tensor:
    return torch.randn(batch, 3, side, side, generator=generator_for(0, "pictures"))


@pytest.mark.parametrize("weight", [ONE_WEIGHT, WEIGHTS], ids=["one weight", "a weight each"])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", BUILDERS)
def test_mixing_before_any_stage_equals_a_loop_over_pictures_in_value_and_gradient(name: BackboneName, stage: int, weight: Tensor) -> None:
    backbone = tiny_backbone(name).double()
    names, values = zip(*backbone.named_parameters(), strict=True)
    mix = Mix(stage=stage, weight=weight.double(), partner=PARTNERS)

    def fast(images: Tensor, *parameters: Tensor) -> Tensor:
        given = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(backbone, given, (images, mix))

    def slow(images: Tensor, *parameters: Tensor) -> Tensor:
        given = {key.removeprefix("stages."): value for key, value in zip(names, parameters, strict=True)}
        runner = StagesByHand(backbone.stages, stage, weight.double().expand(BATCH))
        return torch.func.functional_call(runner, {f"stages.{key}": value for key, value in given.items()}, (images,))

    assert_twins_agree(fast, slow, pictures(), *values)


class StagesByHand(torch.nn.Module):
    """The slow twin as a module, so that it takes its parameters from the comparison."""

    def __init__(self, stages: torch.nn.ModuleList, stage: int, weights: Tensor) -> None:
        super().__init__()
        self.stages, self.stage, self.weights = stages, stage, weights

    def forward(self, images: Tensor) -> Tensor:
        return reference.features(self.stages, images, self.stage, self.weights, PARTNERS.tolist())


@pytest.mark.parametrize("weight", [ONE_WEIGHT, WEIGHTS], ids=["one weight", "a weight each"])
def test_the_loss_equals_cross_entropy_with_mixed_labels_in_value_and_gradient(weight: Tensor) -> None:
    labels = torch.tensor([0, 2, 2, 1])
    logits = torch.randn(BATCH, 3, generator=generator_for(0, "logits"))
    mix = Mix(stage=0, weight=weight.double(), partner=PARTNERS)
    weights = weight.double().expand(BATCH)
    assert_twins_agree(
        lambda given: mix.loss(given, labels), lambda given: reference.loss(given, labels.tolist(), weights, PARTNERS.tolist()), logits
    )


@pytest.mark.parametrize("weight", [torch.tensor(1.0), torch.ones(BATCH)], ids=["one weight", "a weight each"])
def test_weight_one_is_plain_training(weight: Tensor) -> None:
    labels = torch.tensor([0, 2, 2, 1])
    backbone = tiny_backbone("resnet12")
    plain = backbone(pictures())
    for stage in STAGES:
        mix = Mix(stage=stage, weight=weight, partner=PARTNERS)
        assert torch.equal(backbone(pictures(), mix), plain)
        torch.testing.assert_close(mix.loss(plain, labels), F.cross_entropy(plain, labels))


def test_mixing_pictures_with_themselves_changes_nothing() -> None:
    backbone = tiny_backbone("wrn28_10")
    plain = backbone(pictures())
    for stage in STAGES:
        assert torch.equal(backbone(pictures(), Mix(stage=stage, weight=WEIGHTS, partner=torch.arange(BATCH))), plain)


def test_exchanging_picture_and_partner_exchanges_the_weights() -> None:
    swapped = torch.tensor([1, 0, 3, 2])
    mixed = Mix(stage=0, weight=torch.tensor(0.3), partner=swapped).blend(pictures())
    exchanged = Mix(stage=0, weight=torch.tensor(0.7), partner=swapped).blend(pictures())
    torch.testing.assert_close(mixed, exchanged[swapped])


def test_mixing_keeps_the_kind_of_numbers_of_the_representation() -> None:
    assert Mix(stage=0, weight=WEIGHTS, partner=PARTNERS).blend(pictures().bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize(("batch", "world"), [(1, 1), (7, 1), (16, 1), (64, 1), (64, 8), (96, 3), (48, 6), (250, 2)])
def test_partners_are_a_reordering_within_the_share_of_each_process(batch: int, world: int) -> None:
    for draw in range(20):
        partners = draw_partners(batch, generator_for(0, draw), world)
        share = batch // world
        assert partners.sort().values.tolist() == list(range(batch))
        assert torch.equal(partners // share, torch.arange(batch) // share)


@pytest.mark.parametrize("batch", [64, 128, 256])
def test_the_same_pairs_meet_on_1_2_4_and_8_processes(batch: int) -> None:
    alone = draw_partners(batch, generator_for(5))
    assert all(torch.equal(draw_partners(batch, generator_for(5), world), alone) for world in (2, 4, 8))


def test_all_pairs_of_a_block_are_equally_likely() -> None:
    draws, batch, block = 2000, 64, 8
    meetings = torch.zeros(batch, batch)
    for draw in range(draws):
        meetings[torch.arange(batch), draw_partners(batch, generator_for(0, draw))] += 1
    within = torch.block_diag(*[torch.ones(block, block) - torch.eye(block)] * (batch // block)).bool()
    share = 1 / (block - 1)
    expected = draws * share
    deviation = (draws * share * (1 - share)) ** 0.5
    assert (meetings[within] - expected).abs().max() < 5 * deviation
    assert meetings[~within].sum() == 0


def test_no_picture_is_its_own_partner() -> None:
    for batch in (2, 9, 64):
        for draw in range(50):
            assert not (draw_partners(batch, generator_for(1, draw)) == torch.arange(batch)).any()


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ValueError, match="64 cannot be shared equally by 3"):
        draw_partners(64, generator_for(0), 3)


def test_partners_come_from_their_generator_alone() -> None:
    before = torch.random.get_rng_state()
    assert torch.equal(draw_partners(64, generator_for(1)), draw_partners(64, generator_for(1)))
    assert not torch.equal(draw_partners(64, generator_for(1)), draw_partners(64, generator_for(2)))
    assert torch.equal(torch.random.get_rng_state(), before)
