"""Optimizers: what decays, and the learning rate of each step."""

import pytest
import torch

from s2m2.models import CosineHead
from s2m2.recipe import OptimizerConfig
from s2m2.training.optimizer import build_optimizer, set_learning_rate
from tests.models.tiny import tiny_backbone


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_each_name_is_its_optimizer_and_vectors_do_not_decay(name: str, kind: type) -> None:
    networks = torch.nn.ModuleList([tiny_backbone("conv4"), CosineHead(8, 3, 2.0)])
    optimizer = build_optimizer(OptimizerConfig(name=name, weight_decay=0.1), networks)  # type: ignore[arg-type]
    assert type(optimizer) is kind
    decayed, kept = optimizer.param_groups
    assert decayed["weight_decay"] == 0.1
    assert kept["weight_decay"] == 0
    assert all(values.ndim > 1 for values in decayed["params"])
    assert all(values.ndim == 1 for values in kept["params"])
    assert len(decayed["params"]) + len(kept["params"]) == len(list(networks.parameters()))


def test_the_rate_of_a_step_reaches_all_groups() -> None:
    optimizer = build_optimizer(OptimizerConfig(), tiny_backbone("conv4"))
    rate = set_learning_rate(optimizer, OptimizerConfig(learning_rate=0.2, schedule="cosine"), step=50, steps=100)
    assert rate == pytest.approx(0.1)
    assert {group["lr"] for group in optimizer.param_groups} == {rate}
