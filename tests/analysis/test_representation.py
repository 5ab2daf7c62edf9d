import math

import pytest
import torch
from torch import Tensor, nn

from s2m2.analysis.geometry import soft_nearest_neighbor_loss
from s2m2.analysis.representation import chance_entanglement, layer_name, map_layers, measure_layer, measure_representation
from s2m2.errors import InputError
from s2m2.models.backbone import Backbone
from s2m2.random import generator_for
from tests.models.tiny import tiny_backbone
from tests.reference import representation as slow


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


def test_the_measures_of_a_layer_are_those_of_its_values() -> None:
    labels = torch.arange(24) % 4
    values = torch.randn(24, 10, generator=generator_for(0)) + labels[:, None]
    found = measure_layer(3, values, labels, 5.0)
    assert (found.layer, found.name, found.dim, found.temperature, found.flat_classes) == (3, "stage 3", 10, 5.0, 0)
    assert found.entanglement == pytest.approx(slow.soft_nearest_neighbor_loss(values.numpy(), labels.tolist(), 5.0))
    ranks = [slow.effective_rank(spectrum) for spectrum in slow.spectra(values.numpy(), labels.tolist())]
    assert found.effective_rank == pytest.approx(sum(ranks) / 4)
    assert sum(found.fractions) == pytest.approx(1)
    least = measure_layer(3, values, labels)
    assert least.entanglement < found.entanglement
    assert least.entanglement == pytest.approx(float(soft_nearest_neighbor_loss(values, labels, least.temperature)))


def test_a_collapse_is_measured_in_full() -> None:
    labels = torch.arange(24) % 4
    apart, nothing = measure_layer(1, labels[:, None].float() * torch.ones(10), labels), measure_layer(1, torch.zeros(24, 10), labels)
    assert (apart.flat_classes, apart.effective_rank, apart.entanglement) == (4, 0, pytest.approx(0, abs=1e-9))
    assert (nothing.flat_classes, nothing.effective_rank, nothing.within) == (4, 0, 0)
    assert nothing.entanglement == pytest.approx(chance_entanglement(labels))


def test_chance_is_the_loss_of_values_that_are_all_the_same() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    expected = float(soft_nearest_neighbor_loss(torch.zeros(6, 2), labels, 1.0))
    assert chance_entanglement(labels) == pytest.approx(expected)
    assert chance_entanglement(torch.arange(10) % 2) == pytest.approx(math.log(9 / 4))


def test_a_representation_has_a_line_for_every_layer_whatever_the_batches() -> None:
    images = torch.randint(256, (18, 28, 28, 3), generator=generator_for(0), dtype=torch.uint8)
    labels = torch.cat([torch.arange(17) % 3, torch.tensor([7])])
    backbone = tiny_backbone("conv4")

    def view(batch: torch.Tensor) -> torch.Tensor:
        return batch.permute(0, 3, 1, 2).float() / 255

    one, other = (
        measure_representation(backbone, images, torch.arange(18), labels, view, batch_size=size, temperature=None) for size in (5, 18)
    )
    assert (one.images, one.classes, one.left_out, len(one.layers)) == (18, 4, 1, len(backbone.stages) + 1)
    assert one.layers[0].dim == 3 * 28 * 28
    assert one.layers[-1].dim == backbone.feature_dim
    for ours, theirs in zip(one.layers, other.layers, strict=True):
        assert ours.entanglement == pytest.approx(theirs.entanglement, rel=1e-4)
        assert ours.effective_rank == pytest.approx(theirs.effective_rank, rel=1e-4)


def test_a_layer_that_tells_the_classes_apart_is_less_entangled_and_flatter() -> None:
    # The second stage keeps the brightness alone, which is the class.
    labels = torch.arange(30) % 3
    noise = torch.randint(0, 60, (30, 28, 28, 3), generator=generator_for(0))
    images = (noise + 80 * labels[:, None, None, None]).to(torch.uint8)
    backbone = Backbone([nn.Sequential(nn.Identity()), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())], 3)

    def view(batch: torch.Tensor) -> torch.Tensor:
        return batch.permute(0, 3, 1, 2).float() / 255

    found = measure_representation(backbone, images, torch.arange(30), labels, view, temperature=0.5, batch_size=8).layers
    assert found[0] == measure_layer(0, view(images).flatten(1), labels, 0.5)
    assert found[2].effective_rank < 3.1 < found[1].effective_rank
    assert found[2].within < 0.01 < found[1].within
