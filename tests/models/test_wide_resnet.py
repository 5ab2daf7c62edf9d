import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from s2m2.models import Backbone, build_backbone
from s2m2.models.wide_resnet import PreActivationBlock, wrn28_10
from s2m2.random import generator_for
from s2m2.recipe import ModelConfig
from tests.models.tiny import tiny_backbone


def on_meta() -> Backbone:
    with torch.device("meta"):
        return wrn28_10()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (32, [(160, 32, 32), (320, 16, 16), (640, 8, 8), (640,)]),
        (80, [(160, 80, 80), (320, 40, 40), (640, 20, 20), (640,)]),
    ],
)
def test_stage_shapes_are_those_of_the_reference(size: int, expected: list[tuple[int, ...]]) -> None:
    values = torch.zeros(2, 3, size, size, device="meta")
    shapes = []
    for stage in on_meta().stages:
        values = stage(values)
        shapes.append(tuple(values.shape[1:]))
    assert shapes == expected


# S2M2's numbers, 5.24 and 32.8 thousand million; the counter counts a multiplication and an addition as two operations.
@pytest.mark.parametrize(("size", "expected"), [(32, 5.24e9), (80, 32.8e9)])
def test_one_image_costs_the_multiply_adds_of_the_reference(size: int, expected: float) -> None:
    with FlopCounterMode(display=False) as counter:
        on_meta()(torch.zeros(1, 3, size, size, device="meta"))
    assert counter.get_total_flops() / 2 == pytest.approx(expected, rel=2e-3)


def first_block(dropout: float = 0.0) -> PreActivationBlock:
    """Of the second stage: 4 to 8 channels, stride 2."""
    block = tiny_backbone("wrn28_10", dropout=dropout).stages[1][0]
    assert isinstance(block, PreActivationBlock)
    return block


def test_where_the_width_changes_the_shortcut_receives_the_normalized_and_rectified_input() -> None:
    block, received = first_block().eval(), []
    normalization = block.activation[0]
    normalization.running_mean.fill_(0.25)
    assert isinstance(block.shortcut, nn.Conv2d)
    block.shortcut.register_forward_pre_hook(lambda _, arguments: received.append(arguments[0]))
    values = torch.randn(2, 4, 6, 6, generator=generator_for(0))
    block(values)
    torch.testing.assert_close(received[0], F.relu((values - 0.25) / (1 + normalization.eps) ** 0.5))


def test_where_the_width_stays_the_input_itself_is_carried_on() -> None:
    block = tiny_backbone("wrn28_10").stages[1][1]
    with torch.no_grad():
        block.branch[-1].weight.zero_()
    values = torch.randn(2, 8, 6, 6, generator=generator_for(0))
    assert torch.equal(block(values), values)


def test_a_stem_as_wide_as_the_first_stage_needs_no_shortcut_of_its_own() -> None:
    first = build_backbone(ModelConfig(backbone="wrn28_10", width=16), 32).stages[0][1]
    assert isinstance(first, PreActivationBlock)
    assert first.shortcut is None


def test_dropout_falls_between_the_two_convolutions_and_spares_the_shortcut() -> None:
    block, received = first_block(dropout=0.5), []
    block.branch[-1].register_forward_pre_hook(lambda _, arguments: received.append(arguments[0]))
    first, normalization, _, _, _ = block.branch
    values = torch.randn(16, 4, 6, 6, generator=generator_for(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        result = block(values)
    activations = F.relu(F.batch_norm(first(block.activation(values)), None, None, normalization.weight, normalization.bias, training=True))
    dropped = (received[0] == 0) & (activations > 0)
    assert (dropped.sum() / (activations > 0).sum()).item() == pytest.approx(0.5, abs=0.05)
    torch.testing.assert_close(received[0], torch.where(dropped, 0.0, 2 * activations))
    torch.testing.assert_close(result - block.branch[-1](received[0]), block.shortcut(block.activation(values)))


def features_twice(backbone: Backbone) -> tuple[Tensor, Tensor]:
    images = torch.randn(4, 3, 28, 28, generator=generator_for(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return backbone(images), backbone(images)


def test_dropout_acts_in_training_only() -> None:
    training = tiny_backbone("wrn28_10", dropout=0.5)
    one, other = features_twice(training)
    assert not torch.equal(one, other)
    one, other = features_twice(training.eval())
    assert torch.equal(one, other)
    one, other = features_twice(tiny_backbone("wrn28_10"))
    assert torch.equal(one, other)
