import pytest
import torch

from s2m2.classifiers.adam import Adam
from s2m2.random import generator_for
from tests.reference.transductive import ClasswiseAdam

GRADIENTS = torch.randn(30, 2, 3, 5, generator=generator_for(0)).double() * torch.logspace(-6, 2, 5).double()


def test_it_is_torchs() -> None:
    ours, theirs = torch.ones(2, 3, 5).double(), torch.ones(2, 3, 5).double().requires_grad_()
    adam, optimizer = Adam(ours, 0.1), torch.optim.Adam([theirs], lr=0.1)
    for gradients in GRADIENTS:
        adam.step(gradients)
        theirs.grad = gradients.clone()
        optimizer.step()
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-10, atol=1e-10)


def test_rotated_parameters_take_rotated_steps_classwise() -> None:
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=generator_for(1)).double()).Q
    plain, rotated = torch.zeros(2, 3, 5).double(), torch.zeros(2, 3, 5).double()
    one, other = Adam(plain, 0.1, classwise=True), Adam(rotated, 0.1, classwise=True)
    for gradients in GRADIENTS:
        one.step(gradients)
        other.step(gradients @ rotation)
    torch.testing.assert_close(plain @ rotation, rotated, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("task", [0, 1])
def test_one_average_a_row_is_that_of_a_plain_loop(task: int) -> None:
    ours, theirs = torch.zeros(2, 3, 5).double(), torch.zeros(3, 5).double().requires_grad_()
    adam, loop = Adam(ours, 0.1, classwise=True), ClasswiseAdam(theirs, 0.1)
    for gradients in GRADIENTS:
        adam.step(gradients)
        theirs.grad = gradients[task].clone()
        loop.step()
    torch.testing.assert_close(ours[task], theirs.detach(), rtol=1e-8, atol=1e-8)
