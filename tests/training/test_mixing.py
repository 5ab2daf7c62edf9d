"""The draws of a step: stages, weights and partners, the same on any number of processes."""

import pytest
import torch
from torch import Tensor

from s2m2.errors import InputError
from s2m2.functional.mixup import Mix
from s2m2.recipe import FinetuneConfig, PretrainConfig
from s2m2.recipe.mixing import MixConfig
from s2m2.training.mixing import draw_mix
from tests.training.networks import BATCH, CLASSES, stream

STAGES, DRAWS = 4, 600
LABELS = torch.arange(BATCH) % CLASSES


def draw(step: int = 0, rank: int = 0, world_size: int = 1, **settings: object) -> Mix:
    share = BATCH // world_size
    return draw_mix(
        MixConfig(**settings),  # type: ignore[arg-type]
        STAGES,
        LABELS[rank * share : (rank + 1) * share],
        stream(step, rank, world_size),
    )


def weights(**settings: object) -> Tensor:
    return torch.stack([draw(step, **settings).weights for step in range(DRAWS)])


def test_every_stage_is_mixed_equally_often() -> None:
    counts = torch.bincount(torch.tensor([draw(step).stage for step in range(DRAWS)]))
    assert len(counts) == STAGES
    assert (counts - DRAWS / 4).abs().max() < 5 * (DRAWS * 0.25 * 0.75) ** 0.5


@pytest.mark.parametrize(("stages", "expected"), [((2, 4), {2, 4}), ((0,), {0}), ((-1,), {STAGES}), ((0, -1), {0, STAGES})])
def test_mixing_is_limited_to_the_stages_asked_for(stages: tuple[int, ...], expected: set[int]) -> None:
    assert {draw(step, stages=stages).stage for step in range(50)} == expected


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_weights_of_two_images_are_beta(alpha: float) -> None:
    # Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)).
    drawn = weights(alpha=alpha)
    assert drawn.shape == (DRAWS, 1)
    assert abs(drawn.mean() - 0.5) < 5 * (drawn.var() / DRAWS) ** 0.5
    assert abs(float(drawn.var()) * 4 * (2 * alpha + 1) - 1) < 0.25


def test_weights_of_more_images_are_dirichlet() -> None:
    # Dirichlet(a, a, a, a): mean 1/4, variance 3 / (16 (4 a + 1)), what an image keeps included.
    drawn = weights(images=4, alpha=0.5)
    shares = torch.cat([1 - drawn.sum(dim=1, keepdim=True), drawn], dim=1)
    assert drawn.shape == (DRAWS, 3)
    assert shares.min() >= -1e-6
    assert ((shares.mean(dim=0) - 0.25).abs() < 0.05).all()
    assert ((shares.var(dim=0) * 16 - 1).abs() < 0.3).all()


def test_each_image_can_have_a_per_sample_its_own() -> None:
    drawn = draw(per_sample=True).weights
    assert drawn.shape == (1, BATCH)
    assert len(set(drawn[0].tolist())) == BATCH


@pytest.mark.parametrize("per_sample", ["batch", "image"])
def test_a_share_of_the_images_is_mixed(per_sample: str) -> None:
    drawn = weights(share=0.2, per_sample=per_sample)
    assert drawn.shape == (DRAWS, 1, BATCH)
    mixed = (drawn > 0).float().mean()
    assert abs(mixed - 0.2) < 5 * (0.2 * 0.8 / (DRAWS * BATCH)) ** 0.5
    if per_sample == "batch":  # those that are mixed in one step have one weight
        assert all(len(set(step[step > 0].tolist())) <= 1 for step in drawn)


@pytest.mark.parametrize("per_sample", ["batch", "image"])
@pytest.mark.parametrize("alpha", [0.0, 1e-320])
def test_no_alpha_mixes_nothing_and_a_vanishing_one_mixes_whole_images(alpha: float, per_sample: str) -> None:
    drawn = weights(alpha=alpha, per_sample=per_sample)
    assert set(drawn.flatten().tolist()) == ({0.0} if alpha == 0 else {0.0, 1.0})


@pytest.mark.parametrize("settings", [{}, {"per_sample": "image"}, {"share": 0.5}, {"images": 3}, {"images": 3, "per_sample": "image"}])
def test_all_processes_draw_the_same_stage_and_weights_and_partners_of_their_own(settings: dict[str, object]) -> None:
    alone, shares = draw(**settings), [draw(rank=rank, world_size=2, **settings) for rank in (0, 1)]
    assert all(share.stage == alone.stage for share in shares)
    joined = torch.cat([share.weights for share in shares], dim=-1) if alone.weights.ndim == 2 else shares[1].weights
    assert torch.equal(joined, alone.weights)
    assert torch.equal(torch.cat([shares[0].partners, shares[1].partners + BATCH // 2], dim=1), alone.partners)


def test_partners_of_the_same_class_have_it() -> None:
    for step in range(20):
        partners = draw(step, partners="class").partners
        assert torch.equal(LABELS[partners[0]], LABELS)
        assert (partners[0] != torch.arange(BATCH)).all()


def test_partners_from_a_second_batch_lie_behind_the_first() -> None:
    assert draw(partners="second_batch").partners.tolist() == [list(range(BATCH, 2 * BATCH))]
    assert draw(partners="second_batch", rank=1, world_size=2).partners.tolist() == [list(range(BATCH // 2, BATCH))]


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"alpha": -1.0}, "alpha is -1.0"),
        ({"share": 0.0}, "share is 0.0"),
        ({"images": 1}, "images is 1"),
        ({"images": 3, "partners": "second_batch"}, "images is 3"),
        ({"stages": ()}, "stages is"),
        ({"stages": (-2,)}, "stages is"),
        ({"method": "cutmix", "stages": (1,)}, "stages is"),
        ({"method": "cutmix", "alpha": 0.0}, "alpha is 0.0"),
        ({"method": "cutmix", "share": 0.5}, "method is cutmix"),
    ],
)
def test_what_cannot_be_mixed_is_refused_by_name(settings: dict[str, object], flag: str) -> None:
    mix = MixConfig(**settings)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=rf"^--finetune\.mix\.{flag}"):
        FinetuneConfig(mix=mix)
    with pytest.raises(InputError, match=rf"^--pretrain\.mix\.{flag}"):
        PretrainConfig(objective="mixup", mix=mix)


def test_settings_of_mixing_go_with_the_objective_that_mixes() -> None:
    with pytest.raises(InputError, match=r"--pretrain\.objective is rotation, but must be mixup where pretrain\.mix is set"):
        PretrainConfig(mix=MixConfig(alpha=1.0))
