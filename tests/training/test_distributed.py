"""Statistics and comparisons over two processes are those of the whole batch, in value and gradient."""

from pathlib import Path

import pytest
import torch
import torch.multiprocessing as multiprocessing
from torch import Tensor

from s2m2.selfsupervision import exemplar_loss
from tests.training.processes import DIM, ITEMS, features, half_of_two, images, loss_of, normalized


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """The results of each of two processes."""
    folder = tmp_path_factory.mktemp("processes")
    multiprocessing.spawn(half_of_two, args=(str(folder / "rendezvous"), str(folder)), nprocs=2)
    return [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_batch_normalization_over_two_processes_is_that_of_the_whole_batch(halves: list[dict[str, Tensor]]) -> None:
    norm, whole = normalized(images())
    whole.requires_grad_()
    values = norm(whole)
    loss_of(values).backward()
    torch.testing.assert_close(torch.cat([half["values"] for half in halves]), values.detach(), rtol=1e-10, atol=1e-10)
    for half in halves:
        torch.testing.assert_close(half["running_mean"], norm.running_mean, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(half["running_var"], norm.running_var, rtol=1e-10, atol=1e-10)
    # The loss of the run is the mean of both processes' losses, so each gradient counts half.
    gradient = torch.cat([half["gradient"] for half in halves]) / 2
    torch.testing.assert_close(gradient, whole.grad, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close((halves[0]["weight_gradient"] + halves[1]["weight_gradient"]) / 2, norm.weight.grad, rtol=1e-9, atol=1e-10)


def test_exemplar_compares_the_images_of_both_processes(halves: list[dict[str, Tensor]]) -> None:
    whole = features().requires_grad_()
    loss = exemplar_loss(whole)
    loss.backward()
    for half in halves:
        torch.testing.assert_close(half["exemplar"], loss.detach(), rtol=1e-6, atol=1e-6)
    gradient = torch.cat([half["copies_gradient"] for half in halves], dim=1) / 2
    torch.testing.assert_close(gradient, whole.grad, rtol=1e-5, atol=1e-6)


def test_items_of_both_processes_are_joined_in_their_order(halves: list[dict[str, Tensor]]) -> None:
    whole = torch.arange(ITEMS * DIM, dtype=torch.float64).reshape(ITEMS, DIM)
    assert all(torch.equal(half["items"], whole) for half in halves)
