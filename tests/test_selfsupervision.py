"""Rotation and exemplar against loops over pixels and copies, in value and gradient, and what they must not depend on."""

import math

import pytest
import torch

from s2m2.errors import InputError
from s2m2.random import generator_for
from s2m2.selfsupervision import exemplar_loss, rotate90, rotate90_batch, rotation_loss
from tests.reference import selfsupervision as reference
from tests.reference.comparison import assert_twins_agree

ROTATIONS = torch.tensor([3, 0, 2, 1, 1, 3, 0, 2])


def random_images(batch: int = 8, size: int = 5) -> torch.Tensor:
    return torch.randn(batch, 3, size, size, generator=generator_for(0, "images"))


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_rotations_equal_rot90_image_by_image_without_any_rounding(size: int) -> None:
    images = random_images(size=size)
    expected = torch.stack([torch.rot90(image, rotation, (1, 2)) for image, rotation in zip(images, ROTATIONS.tolist(), strict=True)])
    assert torch.equal(rotate90(images, ROTATIONS), expected)


def test_rotations_equal_a_loop_over_pixels_in_value_and_gradient() -> None:
    assert_twins_agree(
        lambda images: rotate90(images, ROTATIONS), lambda images: reference.rotate90(images, ROTATIONS), random_images(), tolerance=0
    )


def test_one_rotation_is_counter_clockwise() -> None:
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(1, 3, 2, 2)
    assert rotate90(image, torch.tensor([1]))[0, 0].tolist() == [[2.0, 4.0], [1.0, 3.0]]


def test_rotating_on_to_360_degrees_gives_the_image_back() -> None:
    images = random_images()
    assert torch.equal(rotate90(rotate90(images, ROTATIONS), (4 - ROTATIONS) % 4), images)


def test_the_memory_order_of_the_images_changes_nothing() -> None:
    images = random_images()
    assert torch.equal(rotate90(images.contiguous(memory_format=torch.channels_last), ROTATIONS), rotate90(images, ROTATIONS))


def test_a_rotated_batch_holds_each_image_once_at_each_rotation() -> None:
    images = random_images()
    rotated, rotations = rotate90_batch(images)
    assert rotations.tolist() == [0] * 8 + [1] * 8 + [2] * 8 + [3] * 8
    assert torch.equal(rotated, rotate90(images.repeat(4, 1, 1, 1), rotations))


def test_a_sampled_batch_holds_each_image_once_at_a_random_rotation() -> None:
    images, state = random_images(400), torch.get_rng_state()
    rotated, rotations = rotate90_batch(images, sample=True, generator=generator_for(0, "rotations"))
    assert torch.equal(rotated, rotate90(images, rotations))
    assert (torch.bincount(rotations, minlength=4) - 100).abs().max() < 5 * (400 * 3 / 16) ** 0.5
    assert torch.equal(torch.get_rng_state(), state)


def test_images_that_are_not_square_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"^images has shape \(2, 3, 4, 5\)"):
        rotate90_batch(torch.zeros(2, 3, 4, 5))


def test_the_rotation_loss_equals_its_loop_in_value_and_gradient() -> None:
    logits = torch.randn(8, 4, generator=generator_for(0, "logits"))
    assert_twins_agree(lambda logits: rotation_loss(logits, ROTATIONS), lambda logits: reference.rotation_loss(logits, ROTATIONS), logits)


def copies_of_images(copies: int = 4, images: int = 5, dim: int = 6) -> torch.Tensor:
    """Clusters that overlap, so that the hardest pairs are of all kinds."""
    generator = generator_for(0, "exemplar", copies, images)
    centers = torch.randn(1, images, dim, generator=generator, dtype=torch.float64)
    return centers + 0.7 * torch.randn(copies, images, dim, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("copies", "images"), [(2, 2), (4, 5), (3, 7)])
def test_the_loss_equals_a_triple_loop_in_value_and_gradient(copies: int, images: int) -> None:
    assert_twins_agree(exemplar_loss, reference.exemplar_loss, copies_of_images(copies, images))


def test_two_tight_clusters_give_the_closed_form_of_their_distance() -> None:
    features = torch.tensor([[0.0, 0.0], [3.0, 4.0]]).expand(4, 2, 2)
    assert exemplar_loss(features).item() == pytest.approx(math.log1p(math.exp(-5.0)), rel=1e-6)


def test_the_loss_falls_as_copies_move_together_and_as_images_move_apart() -> None:
    features = copies_of_images()
    centers = features.mean(0, keepdim=True)
    loss = exemplar_loss(features)
    assert exemplar_loss(centers + 0.5 * (features - centers)) < loss
    assert exemplar_loss(features + 2 * centers) < loss


def test_order_of_images_order_of_copies_and_place_in_space_do_not_matter() -> None:
    features = copies_of_images()
    loss = exemplar_loss(features)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=generator_for(1), dtype=torch.float64)).Q
    for changed in (features.flip(1), features.flip(0), features + 3.0, features @ rotation):
        torch.testing.assert_close(exemplar_loss(changed), loss)


def test_equal_copies_have_a_finite_gradient() -> None:
    features = torch.ones(4, 3, 6, requires_grad=True)
    exemplar_loss(features).backward()
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_very_large_features_give_a_finite_loss_and_gradient() -> None:
    features = (copies_of_images().float() * 1e6).requires_grad_()
    loss = exemplar_loss(features)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(features.grad).all()


def test_small_distances_far_from_the_origin_survive_float32() -> None:
    features = (copies_of_images() * 0.1 + 100).float()
    torch.testing.assert_close(exemplar_loss(features).double(), exemplar_loss(features.double()), rtol=1e-5, atol=0)


def test_the_loss_is_float32_under_autocast() -> None:
    features = copies_of_images().bfloat16()
    expected = exemplar_loss(features.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = exemplar_loss(features)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)


def test_features_one_copy_after_the_other_are_split_by_their_number() -> None:
    features = copies_of_images(copies=3)
    assert torch.equal(exemplar_loss(features.flatten(0, 1), copies=3), exemplar_loss(features))


@pytest.mark.parametrize(
    ("features", "copies", "message"),
    [
        (torch.zeros(4, 1, 6), 4, "two images"),
        (torch.zeros(4, 6), 4, "two images"),
        (torch.zeros(10, 6), 4, "^copies is 4, which does not divide the 10 features"),
        (torch.zeros(10, 6), 0, "^copies is 0"),
    ],
)
def test_features_that_cannot_be_compared_are_refused(features: torch.Tensor, copies: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        exemplar_loss(features, copies)
