"""Statistics of batch normalisation, estimated anew."""

import torch
from torch import nn

from s2m2.seeding import generator_for
from s2m2.training.batch_norm import reestimate_statistics
from tests.training.networks import network


def test_statistics_are_plain_means_over_the_batches() -> None:
    values = torch.randn(4, 8, 3, 32, 32, generator=generator_for(0, "pictures")) * 3 + 1
    backbone = nn.Sequential(nn.BatchNorm2d(3, momentum=0.1))
    reestimate_statistics(backbone, values, seed=0)
    torch.testing.assert_close(backbone[0].running_mean, values.mean((0, 1, 3, 4)))
    torch.testing.assert_close(backbone[0].running_var, torch.stack([batch.var((0, 2, 3)) for batch in values]).mean(0))
    assert backbone[0].momentum == 0.1


def test_nothing_but_statistics_changes() -> None:
    backbone, values = network(), torch.randn(2, 8, 3, 32, 32, generator=generator_for(0, "pictures"))
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    reestimate_statistics(backbone, values, seed=0)
    changed = {name.rsplit(".", 1)[1] for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"running_mean", "running_var", "num_batches_tracked"}
    assert not backbone.training
