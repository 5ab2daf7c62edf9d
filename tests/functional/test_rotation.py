import pytest
import torch

from s2m2.functional.rotation import all_quarter_turns, quarter_turns, rotation_loss
from s2m2.seeding import generator_for
from tests.reference import rotation as reference
from tests.reference.comparison import assert_twins_agree

TURNS = torch.tensor([3, 0, 2, 1, 1, 3, 0, 2])


def pictures(batch: int = 8, side: int = 5) -> torch.Tensor:
    return torch.randn(batch, 3, side, side, generator=generator_for(0, "pictures"))


@pytest.mark.parametrize("side", [1, 2, 5, 8])
def test_quarter_turns_equal_rot90_picture_by_picture_without_any_rounding(side: int) -> None:
    images = pictures(side=side)
    expected = torch.stack([torch.rot90(image, turns, (1, 2)) for image, turns in zip(images, TURNS.tolist(), strict=True)])
    assert torch.equal(quarter_turns(images, TURNS), expected)


def test_quarter_turns_equal_a_loop_over_pixels_in_value_and_gradient() -> None:
    assert_twins_agree(
        lambda images: quarter_turns(images, TURNS), lambda images: reference.quarter_turns(images, TURNS), pictures(), tolerance=0
    )


def test_one_quarter_turn_is_counter_clockwise() -> None:
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(1, 3, 2, 2)
    assert quarter_turns(image, torch.tensor([1]))[0, 0].tolist() == [[2.0, 4.0], [1.0, 3.0]]


def test_turning_on_until_a_whole_turn_gives_the_picture_back() -> None:
    images = pictures()
    assert torch.equal(quarter_turns(quarter_turns(images, TURNS), (4 - TURNS) % 4), images)


def test_the_memory_order_of_the_pictures_changes_nothing() -> None:
    images = pictures()
    assert torch.equal(quarter_turns(images.contiguous(memory_format=torch.channels_last), TURNS), quarter_turns(images, TURNS))


def test_all_quarter_turns_hold_each_picture_once_at_each_turn() -> None:
    images = pictures()
    turned, turns = all_quarter_turns(images)
    assert turns.tolist() == [0] * 8 + [1] * 8 + [2] * 8 + [3] * 8
    assert torch.equal(turned, quarter_turns(images.repeat(4, 1, 1, 1), turns))


def test_the_rotation_loss_equals_its_loop_in_value_and_gradient() -> None:
    logits = torch.randn(8, 4, generator=generator_for(0, "logits"))
    assert_twins_agree(lambda given: rotation_loss(given, TURNS), lambda given: reference.rotation_loss(given, TURNS), logits)
