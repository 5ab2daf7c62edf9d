"""Statistics of batch normalization: re-estimated, and over processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from s2m2.errors import InputError
from s2m2.random import generator_for
from s2m2.training.batch_norm import GlobalBatchNorm2d, reestimate_statistics, share_statistics
from tests.training.networks import network


def test_statistics_are_plain_means_over_the_batches() -> None:
    values = torch.randn(4, 8, 3, 32, 32, generator=generator_for(0, "images")) * 3 + 1
    backbone = nn.Sequential(nn.BatchNorm2d(3, momentum=0.1))
    reestimate_statistics(backbone, values, seed=0)
    torch.testing.assert_close(backbone[0].running_mean, values.mean((0, 1, 3, 4)))
    torch.testing.assert_close(backbone[0].running_var, torch.stack([batch.var((0, 2, 3)) for batch in values]).mean(0))
    assert backbone[0].momentum == 0.1


def test_nothing_but_statistics_changes() -> None:
    backbone, values = network(), torch.randn(2, 8, 3, 32, 32, generator=generator_for(0, "images"))
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    reestimate_statistics(backbone, values, seed=0)
    changed = {name.rsplit(".", 1)[1] for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"running_mean", "running_var", "num_batches_tracked"}
    assert not backbone.training


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A group of this process alone."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'rendezvous'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("needs_gradient", [True, False], ids=["inside", "first"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)], ids=str)
def test_one_process_normalizes_as_torch_does(
    kind: torch.dtype, tolerance: float, layout: torch.memory_format, needs_gradient: bool
) -> None:
    reference = nn.BatchNorm2d(4)
    nn.init.uniform_(reference.weight, 0.5, 2, generator=generator_for(0, "weight"))
    global_norm = GlobalBatchNorm2d(4)
    global_norm.load_state_dict(reference.state_dict())
    values = (3 * torch.randn(8, 4, 5, 5, generator=generator_for(0, "values")) + 2).to(kind).to(memory_format=layout)
    incoming = torch.randn(8, 4, 5, 5, generator=generator_for(0, "sent")).to(kind)
    results = []
    for norm in (global_norm, reference):
        inputs = values.clone().requires_grad_(needs_gradient)
        out = norm(inputs)
        out.backward(incoming)
        assert out.is_contiguous(memory_format=layout)
        results.append([out, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var, inputs.grad])
    for value, expected in zip(*results, strict=True):
        assert (value is None) == (expected is None)
        if value is not None:
            assert value.dtype == expected.dtype
            torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("alone")
def test_a_second_derivative_is_refused_rather_than_wrong() -> None:
    values = torch.randn(4, 4, 3, 3, generator=generator_for(0, "values"), requires_grad=True)
    (gradient,) = torch.autograd.grad((GlobalBatchNorm2d(4)(values) ** 3).sum(), values, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()


class NormWithActivation(nn.BatchNorm2d):
    """As some networks of timm have it."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input).relu()


@pytest.mark.parametrize("norm", [NormWithActivation(4), nn.BatchNorm2d(4, affine=False), nn.BatchNorm1d(4)])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_normalizations_that_would_change_when_shared_are_refused(norm: nn.Module, device: str) -> None:
    with pytest.raises(InputError, match=rf"share the statistics of {type(norm).__name__}"):
        share_statistics(nn.Sequential(nn.Conv2d(3, 4, 3), norm), torch.device(device))
