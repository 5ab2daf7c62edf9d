"""Augmentation: equal to torchvision image by image, independent of the number of processes, exact where it must be."""

from dataclasses import replace

import pytest
import torch
import torchvision.transforms.v2.functional as tv
from torch import Tensor
from torchvision.transforms.v2 import RandomResizedCrop

from s2m2.data.augment import (
    Augmentation,
    UniformNumbers,
    apply_augmentation,
    augment,
    augmentation_of,
    evaluation_view,
    normalize,
    resampling,
    sample_augmentation,
)
from s2m2.random import StepStream, generator_for
from s2m2.recipe import AugmentConfig, DataConfig
from tests.reference.augment import augment_by_torchvision

PAPER = AugmentConfig(scale=(0.08, 1.0), flip=0.5)


def random_images(count: int = 24, height: int = 40, width: int = 36) -> Tensor:
    return torch.randint(256, (count, height, width, 3), generator=generator_for(0, "images"), dtype=torch.uint8)


@pytest.mark.parametrize(("height", "width", "size"), [(40, 36, 32), (32, 32, 32), (84, 84, 40), (30, 50, 64)])
def test_a_batch_is_augmented_as_torchvision_would_one_by_one(height: int, width: int, size: int) -> None:
    images = random_images(24, height, width)
    parameters = sample_augmentation(PAPER, height, width, 24, generator_for(1))
    # 4e-4: torchvision's gray has weights of four digits (0.2989 red), ours are BT.601's three (0.299).
    torch.testing.assert_close(
        apply_augmentation(images, parameters, size).double(), augment_by_torchvision(images, parameters, size), atol=4e-4, rtol=0
    )


def test_the_evaluation_view_is_resize_and_center_crop() -> None:
    images, config = random_images(), DataConfig(image_size=32, resize_ratio=1.15)
    resized = tv.resize(images.permute(0, 3, 1, 2).float() / 255, [36, 36], antialias=True)
    torch.testing.assert_close(evaluation_view(images, config), normalize(tv.center_crop(resized, [32, 32]), config), atol=1e-5, rtol=0)


def test_a_whole_crop_of_the_same_size_is_the_image_bit_for_bit() -> None:
    matrix = resampling(torch.zeros(1), torch.full((1,), 32.0), 32, 32)
    assert torch.equal(matrix[0], torch.eye(32))


def test_crops_lie_inside_the_image_and_keep_to_the_area_and_ratio() -> None:
    parameters = sample_augmentation(PAPER, 84, 60, 4000, generator_for(2))
    assert (parameters.top >= 0).all()
    assert (parameters.left >= 0).all()
    assert (parameters.top + parameters.height <= 84).all()
    assert (parameters.left + parameters.width <= 60).all()
    area = parameters.height * parameters.width / (84 * 60)
    assert 0.07 < area.min() < 0.1
    assert area.max() > 0.9
    ratio = parameters.width / parameters.height
    assert ratio.min() > 0.7
    assert ratio.max() < 1.42


def test_crops_of_a_squeezed_image_are_those_of_the_photo_squeezed() -> None:
    """Equal random numbers give equal crops, but for rounding to whole pixels of the stored image."""
    numbers = UniformNumbers.sample(2000, generator_for(5))
    for height, width in ((900, 300), (600, 800), (500, 500)):
        photo = augmentation_of(numbers, PAPER, height, width)
        stored = augmentation_of(numbers, PAPER, 92, 92, torch.full((2000,), width / height))
        same = torch.ones(2000, dtype=torch.bool)
        for name, edge in (("height", height), ("width", width), ("top", height), ("left", width)):
            difference = getattr(photo, name) / edge - getattr(stored, name) / 92
            same &= difference.abs() <= 1.5 / 92
        # A sample that just fits in one and just does not in the other gives place to the next.
        assert same.float().mean() > 0.98  # and as many where nothing is squeezed


def test_without_squeezing_proportions_change_nothing() -> None:
    numbers = UniformNumbers.sample(500, generator_for(6))
    plain, told = (augmentation_of(numbers, PAPER, 60, 84, given) for given in (None, torch.full((500,), 84 / 60)))
    for name, values in vars(plain).items():
        assert torch.equal(values, vars(told)[name]), name


@pytest.mark.parametrize(("height", "width"), [(40, 160), (160, 40), (50, 50)])
def test_where_no_sample_fits_the_crop_is_torchvisions_in_the_middle(height: int, width: int) -> None:
    config = AugmentConfig(scale=(1.0, 1.0), ratio=(1.2, 1.3) if height == width else (0.75, 4 / 3))
    expected = RandomResizedCrop(8, scale=config.scale, ratio=config.ratio).make_params([torch.zeros(3, height, width)])
    crop = sample_augmentation(config, height, width, 3, generator_for(7))
    for name in ("top", "left", "height", "width"):
        assert getattr(crop, name).tolist() == [expected[name]] * 3, name


def test_a_crop_has_a_pixel_at_least_however_long_the_image() -> None:
    numbers = UniformNumbers.sample(400, generator_for(8))
    proportions = torch.logspace(-4, 4, 400)
    crop = augmentation_of(numbers, PAPER, 28, 28, proportions)
    assert crop.height.min() >= 1
    assert crop.width.min() >= 1
    assert (crop.top + crop.height <= 28).all()
    assert (crop.left + crop.width <= 28).all()
    assert apply_augmentation(random_images(400, 28, 28), crop, 24).isfinite().all()


def test_half_of_the_images_are_mirrored_and_jitter_fills_its_range() -> None:
    parameters = sample_augmentation(AugmentConfig(flip=0.5), 32, 32, 10_000, generator_for(3))
    assert abs(parameters.flip.float().mean() - 0.5) < 0.03
    assert parameters.jitter.min() < 0.601
    assert parameters.jitter.max() > 1.399
    assert (parameters.jitter.mean(dim=0) - 1).abs().max() < 0.02


def test_without_randomness_only_the_normalization_is_left() -> None:
    off = DataConfig(image_size=32, resize_ratio=1.15, augment=AugmentConfig(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0, jitter=0.0))
    images = random_images(8, 32, 32)
    stream = StepStream(seed=0, stage="pretrain", step=0, batch_size=8)
    expected = normalize(images.permute(0, 3, 1, 2).float() / 255, off)
    torch.testing.assert_close(augment(images, off, stream), expected, atol=1e-5, rtol=0)


def test_the_fractions_of_two_processes_are_the_batch_of_one() -> None:
    images, config = random_images(16), DataConfig(image_size=32, resize_ratio=1.15)
    stream = StepStream(seed=0, stage="pretrain", step=5, batch_size=16)
    proportions = torch.linspace(0.5, 2.0, 16)
    parts = [
        augment(images[part], config, replace(stream, rank=rank, world_size=2), proportions=proportions[part])
        for rank, part in enumerate((slice(8), slice(8, 16)))
    ]
    torch.testing.assert_close(torch.cat(parts), augment(images, config, stream, proportions=proportions), atol=1e-6, rtol=0)


def test_steps_and_views_differ_and_repeat() -> None:
    images, config = random_images(), DataConfig(image_size=32, resize_ratio=1.15)

    def view(step: int, number: int) -> Tensor:
        return augment(images, config, StepStream(seed=0, stage="pretrain", step=step, batch_size=24), number)

    assert torch.equal(view(0, 0), view(0, 0))
    assert not torch.equal(view(0, 0), view(1, 0))
    assert not torch.equal(view(0, 0), view(0, 1))


def test_a_mirrored_image_is_the_mirror_image_of_the_crop() -> None:
    images = random_images(4)
    parameters = sample_augmentation(PAPER, 40, 36, 4, generator_for(4))
    plain, mirrored = (
        apply_augmentation(images, Augmentation(**{**vars(parameters), "flip": torch.full((4,), flip)}), 32) for flip in (False, True)
    )
    torch.testing.assert_close(mirrored, plain.flip(3))
