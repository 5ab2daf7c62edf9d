"""Optimizers: what decays, the learning rate of each step, and the moving average against its recursion."""

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from s2m2.models import CosineHead
from s2m2.random import generator_for
from s2m2.recipe import OptimizerConfig
from s2m2.training.optim import MovingAverage, Schedule, build_optimizer, learning_rate_factor, set_learning_rate
from tests.models.tiny import tiny_backbone

# By hand: (1 + cos(pi t)) / 2 at t = 0, 1/4, 1/2, 3/4; 1/25 + 24/25 * t on the way up.
GOLDEN: list[tuple[Schedule, list[float]]] = [
    ("constant", [1.0, 1.0, 1.0, 1.0]),
    ("cosine", [1.0, 0.8535533905932737, 0.5, 0.14644660940672627]),
    ("one_cycle", [0.04, 0.52, 1.0, 0.5]),
]


@pytest.mark.parametrize(("schedule", "expected"), GOLDEN)
def test_factors_step_by_step(schedule: Schedule, expected: list[float]) -> None:
    assert [learning_rate_factor(schedule, step, 4, warmup=0.5) for step in range(4)] == pytest.approx(expected, rel=1e-12)


def test_one_cycle_rises_for_its_fraction_of_the_steps_and_then_falls() -> None:
    factors = [learning_rate_factor("one_cycle", step, 100, warmup=0.2) for step in range(100)]
    assert factors[0] == pytest.approx(1 / 25)
    assert factors[20] == max(factors) == 1.0
    differences = [after - before for before, after in itertools.pairwise(factors)]
    assert all(difference > 0 for difference in differences[:20])
    assert all(difference < 0 for difference in differences[20:])
    assert differences[0] == pytest.approx(differences[19])


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_every_step_of_any_stage_moves_the_weights_and_none_exceeds_the_peak(schedule: Schedule, steps: int) -> None:
    assert all(0 < learning_rate_factor(schedule, step, steps) <= 1 for step in range(steps))


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_the_factor_is_zero_after_the_last_step(schedule: Schedule) -> None:
    assert learning_rate_factor(schedule, 50, 50) == pytest.approx(0, abs=1e-15)


def test_only_one_cycle_looks_at_the_warm_up() -> None:
    assert learning_rate_factor("cosine", 1, 10, warmup=0.9) == learning_rate_factor("cosine", 1, 10, warmup=0.1)
    assert learning_rate_factor("one_cycle", 1, 10, warmup=0.9) != learning_rate_factor("one_cycle", 1, 10, warmup=0.1)


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_each_name_is_its_optimizer_and_vectors_do_not_decay(name: str, kind: type) -> None:
    networks = torch.nn.ModuleList([tiny_backbone("conv4"), CosineHead(8, 3, 2.0)])
    optimizer = build_optimizer(OptimizerConfig(name=name, weight_decay=0.1), networks)  # type: ignore[arg-type]
    assert type(optimizer) is kind
    decayed, undecayed = optimizer.param_groups
    assert decayed["weight_decay"] == 0.1
    assert undecayed["weight_decay"] == 0
    assert all(values.ndim > 1 for values in decayed["params"])
    assert all(values.ndim == 1 for values in undecayed["params"])
    assert len(decayed["params"]) + len(undecayed["params"]) == len(list(networks.parameters()))


def test_the_rate_of_a_step_reaches_all_groups() -> None:
    optimizer = build_optimizer(OptimizerConfig(), tiny_backbone("conv4"))
    rate = set_learning_rate(optimizer, OptimizerConfig(learning_rate=0.2, schedule="cosine"), step=50, steps=100)
    assert rate == pytest.approx(0.1)
    assert {group["lr"] for group in optimizer.param_groups} == {rate}


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

    average, reference = MovingAverage(module, 0.9), AveragedModel(module, multi_avg_fn=blend, use_buffers=True)
    for update in range(6):
        module(torch.randn(4, 3, generator=generator_for(0, update)))
        with torch.no_grad():
            module[0].weight.add_(torch.randn(2, 3, generator=generator_for(1, update)))
        average.update_parameters(module)
        reference.update_parameters(module)
        if update == 2:
            state = reference.state_dict()  # what checkpoints of earlier versions hold
            average = MovingAverage(module, 0.9)
            average.load_state_dict(state)
    for name, values in reference.state_dict().items():
        assert torch.equal(average.state_dict()[name], values), name
