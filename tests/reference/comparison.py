"""How a fast function is compared with its slow twin: by value and by the gradient of every input."""

from collections.abc import Callable

import torch
from torch import Tensor


def assert_twins_agree(fast: Callable[..., Tensor], slow: Callable[..., Tensor], *inputs: Tensor, tolerance: float = 1e-10) -> None:
    """Fail unless both functions give the same value for float64 inputs, and the same gradient with respect to each of them.

    The gradient is that of a sum with unequal weights, in which errors of different elements do not cancel.
    """
    value, gradients = _value_and_gradients(fast, inputs)
    expected, expected_gradients = _value_and_gradients(slow, inputs)
    torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=tolerance, atol=tolerance)


def _value_and_gradients(function: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
    leaves = [values.detach().double().clone().requires_grad_() for values in inputs]
    value = function(*leaves)
    probe = torch.arange(1, value.numel() + 1, dtype=value.dtype).sin().reshape(value.shape) + 0.1
    return value.detach(), torch.autograd.grad((value * probe).sum(), leaves)
