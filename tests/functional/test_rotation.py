import pytest
import torch

from s2m2.functional.rotation import all_rotations, rot90, rotation_loss
from s2m2.seeding import generator_for
from tests.reference import rotation as reference
from tests.reference.comparison import assert_twins_agree

ROTATIONS = torch.tensor([3, 0, 2, 1, 1, 3, 0, 2])


def random_images(batch: int = 8, size: int = 5) -> torch.Tensor:
    return torch.randn(batch, 3, size, size, generator=generator_for(0, "images"))


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_rotations_equal_rot90_image_by_image_without_any_rounding(size: int) -> None:
    images = random_images(size=size)
    expected = torch.stack([torch.rot90(image, turns, (1, 2)) for image, turns in zip(images, ROTATIONS.tolist(), strict=True)])
    assert torch.equal(rot90(images, ROTATIONS), expected)


def test_rotations_equal_a_loop_over_pixels_in_value_and_gradient() -> None:
    assert_twins_agree(
        lambda images: rot90(images, ROTATIONS), lambda images: reference.rot90(images, ROTATIONS), random_images(), tolerance=0
    )


def test_one_rotation_is_counter_clockwise() -> None:
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(1, 3, 2, 2)
    assert rot90(image, torch.tensor([1]))[0, 0].tolist() == [[2.0, 4.0], [1.0, 3.0]]


def test_turning_on_until_a_whole_turn_gives_the_image_back() -> None:
    images = random_images()
    assert torch.equal(rot90(rot90(images, ROTATIONS), (4 - ROTATIONS) % 4), images)


def test_the_memory_order_of_the_images_changes_nothing() -> None:
    images = random_images()
    assert torch.equal(rot90(images.contiguous(memory_format=torch.channels_last), ROTATIONS), rot90(images, ROTATIONS))


def test_all_rotations_hold_each_image_once_at_each_turn() -> None:
    images = random_images()
    turned, turns = all_rotations(images)
    assert turns.tolist() == [0] * 8 + [1] * 8 + [2] * 8 + [3] * 8
    assert torch.equal(turned, rot90(images.repeat(4, 1, 1, 1), turns))


def test_the_rotation_loss_equals_its_loop_in_value_and_gradient() -> None:
    logits = torch.randn(8, 4, generator=generator_for(0, "logits"))
    assert_twins_agree(lambda given: rotation_loss(given, ROTATIONS), lambda given: reference.rotation_loss(given, ROTATIONS), logits)
