"""Stages, weights and partners of a step, the same on any number of processes."""

import pytest
import torch
from torch import Tensor

from s2m2.errors import InputError
from s2m2.mixup import Mix
from s2m2.recipe import FinetuneConfig, PretrainConfig
from s2m2.recipe.training import MixConfig
from s2m2.training.objectives import sample_step_mix
from tests.training.networks import BATCH, CLASSES, stream

STAGES, SAMPLES = 4, 600
LABELS = torch.arange(BATCH) % CLASSES


def sample(step: int = 0, rank: int = 0, world_size: int = 1, **settings: object) -> Mix:
    size = BATCH // world_size
    return sample_step_mix(
        MixConfig(**settings),  # type: ignore[arg-type]
        STAGES,
        LABELS[rank * size : (rank + 1) * size],
        stream(step, rank, world_size),
    )


def weights(**settings: object) -> Tensor:
    return torch.stack([sample(step, **settings).weights for step in range(SAMPLES)])


def test_every_stage_is_mixed_equally_often() -> None:
    counts = torch.bincount(torch.tensor([sample(step).stage for step in range(SAMPLES)]))
    assert len(counts) == STAGES
    assert (counts - SAMPLES / 4).abs().max() < 5 * (SAMPLES * 0.25 * 0.75) ** 0.5


@pytest.mark.parametrize(("stages", "expected"), [((2, 4), {2, 4}), ((0,), {0}), ((-1,), {STAGES}), ((0, -1), {0, STAGES})])
def test_mixing_is_limited_to_the_stages_asked_for(stages: tuple[int, ...], expected: set[int]) -> None:
    assert {sample(step, stages=stages).stage for step in range(50)} == expected


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_weights_of_two_images_are_beta(alpha: float) -> None:
    # Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)).
    samples = weights(alpha=alpha)
    assert samples.shape == (SAMPLES, 1)
    assert abs(samples.mean() - 0.5) < 5 * (samples.var() / SAMPLES) ** 0.5
    assert abs(float(samples.var()) * 4 * (2 * alpha + 1) - 1) < 0.25


def test_weights_of_more_images_are_dirichlet() -> None:
    # Dirichlet(a, a, a, a): mean 1/4, variance 3 / (16 (4 a + 1)), that of the image itself included.
    samples = weights(num_images=4, alpha=0.5)
    all_weights = torch.cat([1 - samples.sum(dim=1, keepdim=True), samples], dim=1)
    assert samples.shape == (SAMPLES, 3)
    assert all_weights.min() >= -1e-6
    assert ((all_weights.mean(dim=0) - 0.25).abs() < 0.05).all()
    assert ((all_weights.var(dim=0) * 16 - 1).abs() < 0.3).all()


def test_each_image_can_have_a_weight_of_its_own() -> None:
    samples = sample(per_sample=True).weights
    assert samples.shape == (1, BATCH)
    assert len(set(samples[0].tolist())) == BATCH


@pytest.mark.parametrize("per_sample", [False, True])
def test_a_fraction_of_the_images_is_mixed(per_sample: bool) -> None:
    samples = weights(prob=0.2, per_sample=per_sample)
    assert samples.shape == (SAMPLES, 1, BATCH)
    mixed = (samples > 0).float().mean()
    assert abs(mixed - 0.2) < 5 * (0.2 * 0.8 / (SAMPLES * BATCH)) ** 0.5
    if not per_sample:  # those that are mixed in one step have one weight
        assert all(len(set(step[step > 0].tolist())) <= 1 for step in samples)


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 1e-320])
def test_no_alpha_mixes_nothing_and_a_vanishing_one_mixes_whole_images(alpha: float, per_sample: bool) -> None:
    samples = weights(alpha=alpha, per_sample=per_sample)
    assert set(samples.flatten().tolist()) == ({0.0} if alpha == 0 else {0.0, 1.0})


@pytest.mark.parametrize("settings", [{}, {"per_sample": True}, {"prob": 0.5}, {"num_images": 3}, {"num_images": 3, "per_sample": True}])
def test_all_processes_sample_the_same_stage_and_weights_and_partners_of_their_own(settings: dict[str, object]) -> None:
    alone, parts = sample(**settings), [sample(rank=rank, world_size=2, **settings) for rank in (0, 1)]
    assert all(part.stage == alone.stage for part in parts)
    joined = torch.cat([part.weights for part in parts], dim=-1) if alone.weights.ndim == 2 else parts[1].weights
    assert torch.equal(joined, alone.weights)
    assert torch.equal(torch.cat([parts[0].partners, parts[1].partners + BATCH // 2], dim=1), alone.partners)


def test_partners_of_the_same_class_have_it() -> None:
    for step in range(20):
        partners = sample(step, partners="class").partners
        assert torch.equal(LABELS[partners[0]], LABELS)
        assert (partners[0] != torch.arange(BATCH)).all()


def test_partners_from_a_second_batch_lie_behind_the_first() -> None:
    assert sample(partners="second_batch").partners.tolist() == [list(range(BATCH, 2 * BATCH))]
    assert sample(partners="second_batch", rank=1, world_size=2).partners.tolist() == [list(range(BATCH // 2, BATCH))]


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"alpha": -1.0}, "alpha is -1.0"),
        ({"prob": 0.0}, "prob is 0.0"),
        ({"num_images": 1}, "num_images is 1"),
        ({"num_images": 3, "partners": "second_batch"}, "num_images is 3"),
        ({"stages": ()}, "stages is"),
        ({"stages": (-2,)}, "stages is"),
        ({"method": "cutmix", "stages": (1,)}, "stages is"),
        ({"method": "cutmix", "alpha": 0.0}, "alpha is 0.0"),
        ({"method": "cutmix", "prob": 0.5}, "method is cutmix"),
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
