"""The moving average against its recursion, weight by weight."""

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from s2m2.seeding import generator_for
from s2m2.training.ema import MovingAverage


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_average_follows_its_recursion(decay: float) -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average = MovingAverage(module, decay)
    expected = [values.detach().double() for values in module.parameters()]
    for update in range(20):
        with torch.no_grad():
            for number, values in enumerate(module.parameters()):
                values.copy_(torch.randn(values.shape, generator=generator_for(update, number)))
            module[1].num_batches_tracked.add_(1)
        average.update_parameters(module)
        # It copies at the first update, where there is nothing to average yet.
        keep = 0.0 if update == 0 else min(decay, (1 + update) / (10 + update))
        expected = [keep * old + (1 - keep) * new.detach().double() for old, new in zip(expected, module.parameters(), strict=True)]
    for values, wanted in zip(average.module.parameters(), expected, strict=True):
        torch.testing.assert_close(values.double(), wanted, rtol=1e-4, atol=1e-5)
    assert int(average.module[1].num_batches_tracked) == 20


def test_the_average_shares_no_memory_with_the_module() -> None:
    module = nn.Linear(3, 2)
    average = MovingAverage(module, 0.9)
    before = average.module.weight.detach().clone()
    with torch.no_grad():
        module.weight.add_(1)
    assert torch.equal(average.module.weight, before)


def test_the_count_of_updates_is_read_on_the_cpu_wherever_the_weights_are() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    average = MovingAverage(module, 0.9)
    for _ in range(3):
        average.update_parameters(module)  # reading a number off the meta device, as off a GPU without waiting, would be an error
    assert average.n_averaged.device.type == "cpu"
    assert int(average.n_averaged) == 3


def test_it_is_torchs_average_to_the_last_bit_and_goes_on_from_its_state() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))

    def blend(averages: list[Tensor], values: list[Tensor], count: Tensor) -> None:
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, values, 1 - min(0.9, (1 + int(count)) / (10 + int(count))))
        else:
            torch._foreach_copy_(averages, values)

    ours, theirs = MovingAverage(module, 0.9), AveragedModel(module, multi_avg_fn=blend, use_buffers=True)
    for update in range(6):
        module(torch.randn(4, 3, generator=generator_for(0, update)))
        with torch.no_grad():
            module[0].weight.add_(torch.randn(2, 3, generator=generator_for(1, update)))
        ours.update_parameters(module)
        theirs.update_parameters(module)
        if update == 2:
            state = theirs.state_dict()  # what checkpoints of earlier versions hold
            ours = MovingAverage(module, 0.9)
            ours.load_state_dict(state)
    for name, values in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], values), name
