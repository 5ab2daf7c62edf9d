import pytest
import torch
from torch import Tensor, nn

from s2m2.analysis.layers import layer_name, map_layers
from s2m2.errors import InputError
from s2m2.models.backbone import Backbone
from s2m2.seeding import generator_for
from tests.models.tiny import tiny_backbone


def stored(count: int = 7, size: int = 28) -> Tensor:
    return torch.randint(256, (count, size, size, 3), generator=generator_for(0, "stored"), dtype=torch.uint8)


def view(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2).float() / 255 - 0.5


@pytest.mark.parametrize("name", ["conv4", "wrn28_10"])
@pytest.mark.parametrize("batch_size", [2, 100])
def test_every_layer_is_what_the_stages_before_it_give(name: str, batch_size: int) -> None:
    backbone, images, rows = tiny_backbone(name).train(), stored(), torch.tensor([5, 0, 3, 6, 1])
    backbone.stages[1].eval()
    seen: list[int] = []
    found = map_layers(
        backbone, images, rows, view, lambda layer, values: (layer, values.clone()), batch_size=batch_size, progress=seen.append
    )
    assert [layer for layer, _ in found] == list(range(len(backbone.stages) + 1))
    assert [stage.training for stage in backbone.stages] == [True, False, *[True] * (len(backbone.stages) - 2)]
    backbone.eval()
    expected = view(images[rows])
    with torch.no_grad():
        for number, (_, values) in enumerate(found):
            torch.testing.assert_close(values, expected.flatten(1), rtol=1e-4, atol=1e-5)
            if number < len(backbone.stages):
                expected = backbone.stages[number](expected)
        torch.testing.assert_close(found[-1][1], backbone(view(images[rows])), rtol=1e-4, atol=1e-5)
    assert sum(seen) == len(rows) * (len(backbone.stages) + 1)


def test_a_stage_that_writes_over_its_input_spoils_no_layer() -> None:
    backbone = Backbone([nn.Sequential(nn.ReLU(inplace=True)), nn.Sequential(nn.ReLU(inplace=True), nn.Flatten())], 3 * 28 * 28)
    (images, *_) = map_layers(backbone, stored(), torch.arange(7), view, lambda _, values: float(values.min()), batch_size=4)
    assert images < -0.4


def test_values_that_are_not_finite_are_told_of() -> None:
    backbone = tiny_backbone("conv4")
    next(backbone.stages[2].parameters()).data.fill_(float("nan"))
    with pytest.raises(InputError, match="not finite"):
        map_layers(backbone, stored(), torch.arange(4), view, lambda layer, _: layer, batch_size=2)


def test_layers_have_the_names_of_what_they_come_out_of() -> None:
    assert [layer_name(layer) for layer in range(3)] == ["input", "stage 1", "stage 2"]
