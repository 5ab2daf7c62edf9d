"""The comparison of twins fails when it should."""

import pytest
import torch
from torch import Tensor

from tests.reference.comparison import assert_twins_agree

INPUT = torch.linspace(0.5, 2.0, 6).reshape(2, 3)


def square(values: Tensor) -> Tensor:
    return values * values


def test_equal_functions_agree() -> None:
    assert_twins_agree(lambda values: values.pow(2), square, INPUT)


def test_another_value_is_noticed() -> None:
    with pytest.raises(AssertionError):
        assert_twins_agree(lambda values: values * values + 1e-8, square, INPUT)


def test_another_gradient_behind_an_equal_value_is_noticed() -> None:
    with pytest.raises(AssertionError):
        assert_twins_agree(lambda values: values * values.detach(), square, INPUT)


def test_another_order_of_elements_is_noticed() -> None:
    with pytest.raises(AssertionError):
        assert_twins_agree(lambda values: square(values).flip(1), square, INPUT)


def test_another_shape_is_noticed() -> None:
    with pytest.raises(AssertionError):
        assert_twins_agree(lambda values: square(values)[:1], square, INPUT)


def test_a_wrong_gradient_of_the_second_input_alone_is_noticed() -> None:
    with pytest.raises(AssertionError):
        assert_twins_agree(lambda a, b: a * b.detach() + 0 * b, lambda a, b: a * b, INPUT, INPUT.flip(1))
