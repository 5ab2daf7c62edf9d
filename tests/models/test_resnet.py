import pytest
import torch
from torch import Tensor

from s2m2.models import Backbone
from s2m2.models.resnet import resnet12, resnet18
from tests.models.tiny import tiny_backbone


def stage_shapes(backbone: Backbone, size: int) -> list[tuple[int, ...]]:
    values = torch.zeros(2, 3, size, size, device="meta")
    shapes = []
    for stage in backbone.stages:
        values = stage(values)
        shapes.append(tuple(values.shape[1:]))
    return shapes


def test_resnet12_halves_the_size_in_every_stage() -> None:
    with torch.device("meta"):
        backbone = resnet12()
    assert stage_shapes(backbone, 84) == [(64, 42, 42), (160, 21, 21), (320, 10, 10), (640,)]


def test_resnet18_keeps_the_size_in_its_first_stage() -> None:
    with torch.device("meta"):
        backbone = resnet18()
    assert stage_shapes(backbone, 32) == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512,)]


def test_a_block_of_resnet12_is_the_leaky_sum_of_branch_and_shortcut_pooled() -> None:
    block = tiny_backbone("resnet12").eval().stages[1][0]
    values = torch.linspace(-1, 1, 4 * 6 * 6).reshape(1, 4, 6, 6)
    total = block.branch(values) + block.shortcut(values)
    leaky = torch.where(total > 0, total, 0.1 * total)
    expected = leaky.reshape(1, 10, 3, 2, 3, 2).amax(dim=(3, 5))
    assert total.min() < 0
    torch.testing.assert_close(block(values), expected)


@pytest.mark.parametrize("position", [0, 1])
def test_a_block_of_resnet18_adds_the_input_itself_unless_the_shape_changes(position: int) -> None:
    block = tiny_backbone("resnet18").eval().stages[1][position]
    values = torch.rand(2, 4 if position == 0 else 8, 6, 6)
    with torch.no_grad():
        block.branch[-1].weight.zero_()
    skipped: Tensor = block(values)
    assert torch.equal(skipped, values) == (position == 1)
    assert skipped.shape == ((2, 8, 3, 3) if position == 0 else (2, 8, 6, 6))
