"""The moving average against its recursion, weight by weight."""

import pytest
import torch
from torch import nn

from s2m2.seeding import generator_for
from s2m2.training.averaging import moving_average


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_average_follows_its_recursion(decay: float) -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average = moving_average(module, decay)
    expected = [values.detach().double() for values in module.parameters()]
    for update in range(20):
        with torch.no_grad():
            for number, values in enumerate(module.parameters()):
                values.copy_(torch.randn(values.shape, generator=generator_for(update, number)))
            module[1].num_batches_tracked.add_(1)
        average.update_parameters(module)
        # torch copies at the first update, where there is nothing to average yet.
        keep = 0.0 if update == 0 else min(decay, (1 + update) / (10 + update))
        expected = [keep * old + (1 - keep) * new.detach().double() for old, new in zip(expected, module.parameters(), strict=True)]
    for values, wanted in zip(average.module.parameters(), expected, strict=True):
        torch.testing.assert_close(values.double(), wanted, rtol=1e-4, atol=1e-5)
    assert int(average.module[1].num_batches_tracked) == 20


def test_the_average_shares_no_memory_with_the_module() -> None:
    module = nn.Linear(3, 2)
    average = moving_average(module, 0.9)
    before = average.module.weight.detach().clone()
    with torch.no_grad():
        module.weight.add_(1)
    assert torch.equal(average.module.weight, before)
