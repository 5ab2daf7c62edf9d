"""One's own network by name: built, seeded, staged, and errors that name what cannot be a backbone."""

from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest
import torch
from torch import nn

from s2m2.errors import InputError
from s2m2.mixup import Mix
from s2m2.models import Backbone, build_backbone, resolve_backbone
from s2m2.random import generator_for
from s2m2.recipe import ModelConfig, parts

OWN = "tests.models.own_networks:"
SIZE = 12


def built(name: str, seed: int = 0) -> Backbone:
    config = ModelConfig()
    object.__setattr__(config, "backbone", name)  # where the field takes built-in names only
    return build_backbone(config, SIZE, generator_for(seed, "backbone"))


def images() -> torch.Tensor:
    return torch.randn(4, 3, SIZE, SIZE, generator=generator_for(0, "images"))


@pytest.mark.parametrize(("name", "stages", "dim"), [("Net", 1, 6), ("build", 1, 6), ("Staged", 2, 7), ("backbone", 2, 5)])
def test_any_network_is_a_backbone_of_known_feature_size(name: str, stages: int, dim: int) -> None:
    backbone = built(OWN + name)
    assert (len(backbone.stages), backbone.feature_dim) == (stages, dim)
    assert backbone(images()).shape == (4, dim)
    assert all(module.training for module in backbone.modules())


def test_weights_follow_from_the_generator_and_leave_the_global_one_untouched() -> None:
    state = torch.get_rng_state()
    one, same, other = built(OWN + "Net"), built(OWN + "Net"), built(OWN + "Net", seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    name = "stages.0.layer.weight"
    assert torch.equal(one.state_dict()[name], same.state_dict()[name])
    assert not torch.equal(one.state_dict()[name], other.state_dict()[name])


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_stages_of_a_network_can_be_mixed_between(stage: int) -> None:
    backbone = built(OWN + "Staged").eval()
    mix = Mix(stage=stage, weights=torch.tensor([0.25]), partners=torch.tensor([[1, 2, 3, 0]]))
    values = images()
    for number, module in enumerate(backbone.stages):
        values = module(mix.blend(values) if number == stage else values)
    assert torch.equal(backbone(images(), mix), mix.blend(values) if stage == 2 else values)


def test_an_installed_package_gives_a_backbone_a_short_name(monkeypatch: pytest.MonkeyPatch) -> None:
    group = parts.BACKBONE_GROUP
    points = EntryPoints([EntryPoint("my_net", OWN + "Net", group), EntryPoint("lost", OWN + "nothing", group)])
    monkeypatch.setattr(parts, "entry_points", points.select)
    assert built("my_net").feature_dim == 6
    with pytest.raises(InputError, match=r"^--model\.backbone lost cannot be imported: .*'nothing'"):
        built("lost")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_net", r"is no backbone of s2m2, and no package has it as an entry point of s2m2\.backbones"),
        ("no_such_package.nets:build", "cannot be imported: No module named 'no_such_package'"),
        (OWN + "nothing", "cannot be imported: .* has no attribute 'nothing'"),
        (OWN, "cannot be imported"),
        (OWN + "NUMBER", "is a int, not a function or class"),
        (OWN + "number", "returns a int, not an nn.Module"),
        (OWN + "failing", "cannot be built: RuntimeError: no such file$"),
        (OWN + "maps", r'gives \(1, 4, 10, 10\) for one image, not features "batch dim"'),
        (OWN + "sized", "takes no images of --data.image_size 12"),
        (OWN + "on_meta", "returns a network that is not on the CPU"),
        (OWN + "Misstaged", "has stages that do not give its features one after the other"),
    ],
)
def test_what_cannot_be_a_backbone_is_named(name: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"^--model\.backbone {name} {message}"):
        built(name)


@pytest.mark.parametrize("name", ["conv4", "wrn28_10", "timm", OWN + "Net"])
def test_names_are_resolved_without_building_anything(name: str) -> None:
    builder: Any = resolve_backbone(name)
    assert callable(builder)
    assert not isinstance(builder, nn.Module)
