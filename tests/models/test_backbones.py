"""What holds for all four backbones."""

import itertools

import pytest
import torch

from s2m2.models import BUILDERS, Backbone, build_backbone, initialize
from s2m2.random import generator_for
from s2m2.recipe import ModelConfig
from tests.models.tiny import tiny_backbone

# Convolutions have no bias; batch normalization has two parameters a channel.
PARAMETERS: dict[str, int] = {
    # 3*64*9 + 3 * 64*64*9 = 112,320 in convolutions, 4 * 2*64 = 512 in normalization.
    "conv4": 112_832,
    # A block c -> w: 9*c*w + 2 * 9*w*w + 1*c*w in convolutions, 4 * 2*w in normalization; 75,904 + 564,480 + 2,357,760 + 9,426,176.
    "resnet12": 12_424_320,
    # The 11,173,962 of the known CIFAR-10 network with this stem, without the 512*10 + 10 of its last layer.
    "resnet18": 11_168_832,
    # S2M2's count; also the 36,479,194 of the CIFAR-10 network without the 640*10 + 10 of its last layer.
    "wrn28_10": 36_472_784,
}
DEFAULT_WIDTHS: dict[str, int] = {"conv4": 64, "resnet12": 64, "resnet18": 64, "wrn28_10": 160}
FEATURES: dict[str, int] = {"conv4": 64 * 2 * 2, "resnet12": 640, "resnet18": 512, "wrn28_10": 640}
"""At 32 pixels."""


def on_meta(name: str, image_size: int = 32, width: int | None = None) -> Backbone:
    """A backbone without memory: shapes and counts only, at no cost."""
    with torch.device("meta"):
        return BUILDERS[name](ModelConfig(backbone=name, width=width), image_size)


def count(backbone: Backbone) -> int:
    return sum(parameter.numel() for parameter in backbone.parameters())


def test_every_built_in_backbone_is_tested_here() -> None:
    assert set(BUILDERS) == set(PARAMETERS)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_number_of_parameters_is_exact(name: str) -> None:
    assert count(on_meta(name)) == PARAMETERS[name]


@pytest.mark.parametrize("name", BUILDERS)
def test_features_have_the_stated_dimension(name: str) -> None:
    assert on_meta(name).feature_dim == FEATURES[name]


@pytest.mark.parametrize(("name", "size"), list(itertools.product(BUILDERS, [28, 29, 31, 32, 33, 47, 64, 79, 80, 84, 96])))
def test_any_square_size_gives_features_of_the_stated_dimension(name: str, size: int) -> None:
    backbone = on_meta(name, size)
    assert backbone(torch.zeros(2, 3, size, size, device="meta")).shape == (2, backbone.feature_dim)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_smallest_and_an_odd_size_run_on_real_numbers(name: str) -> None:
    for size in (28, 37):
        features = tiny_backbone(name, size)(torch.randn(2, 3, size, size, generator=generator_for(0)))
        assert torch.isfinite(features).all()


@pytest.mark.parametrize("name", BUILDERS)
def test_width_is_that_of_the_first_stage_and_the_others_keep_their_proportion(name: str) -> None:
    own, half = on_meta(name), on_meta(name, width=DEFAULT_WIDTHS[name] // 2)
    assert half.feature_dim * 2 == own.feature_dim
    assert own.stages[0](torch.zeros(1, 3, 32, 32, device="meta")).shape[1] == DEFAULT_WIDTHS[name]
    assert half.stages[0](torch.zeros(1, 3, 32, 32, device="meta")).shape[1] == DEFAULT_WIDTHS[name] // 2
    assert count(on_meta(name, width=DEFAULT_WIDTHS[name])) == count(own)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_state_holds_the_stages_and_nothing_else(name: str) -> None:
    assert {key.split(".")[0] for key in on_meta(name).state_dict()} == {"stages"}


@pytest.mark.parametrize("name", BUILDERS)
def test_weights_follow_from_the_generator_alone_and_leave_the_global_one_untouched(name: str) -> None:
    before = torch.random.get_rng_state()
    one, same, other = (tiny_backbone(name, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not any(torch.equal(one[key], other[key]) for key in one if one[key].ndim == 4)


@pytest.mark.parametrize("name", BUILDERS)
def test_initializing_reaches_every_value_of_the_state(name: str) -> None:
    backbone, fresh = tiny_backbone(name), tiny_backbone(name, seed=3).state_dict()
    for values in backbone.state_dict().values():
        values.fill_(torch.nan if values.is_floating_point() else 99)
    initialize(backbone, generator_for(3, "backbone"))
    assert all(torch.equal(values, fresh[key]) for key, values in backbone.state_dict().items())


def test_convolutions_start_with_the_spread_of_their_outputs_and_normalization_as_the_identity() -> None:
    backbone = build_backbone(ModelConfig(backbone="wrn28_10", width=40), 32, generator_for(0))
    for layer in backbone.modules():
        if isinstance(layer, torch.nn.Conv2d) and layer.weight.numel() > 10_000:
            expected = (2 / (layer.kernel_size[0] ** 2 * layer.out_channels)) ** 0.5
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)
            assert abs(layer.weight.mean().item()) < 0.05 * expected
        if isinstance(layer, torch.nn.BatchNorm2d):
            state = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
            assert [values.unique().tolist() for values in state] == [[1], [0], [0], [1]]


def test_a_layer_without_a_rule_for_its_weights_is_refused() -> None:
    with pytest.raises(TypeError, match="GroupNorm"):
        initialize(torch.nn.Sequential(torch.nn.GroupNorm(2, 4)), generator_for(0))


def test_without_a_generator_the_weights_are_always_the_same() -> None:
    one, other = (build_backbone(ModelConfig(backbone="conv4", width=4), 32).state_dict() for _ in range(2))
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", BUILDERS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    backbone = tiny_backbone(name)
    backbone(torch.randn(4, 3, 28, 28, generator=generator_for(0))).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in backbone.parameters())


@pytest.mark.parametrize("name", BUILDERS)
def test_in_evaluation_an_images_features_do_not_depend_on_the_others(name: str) -> None:
    backbone = tiny_backbone(name).eval()
    images = torch.randn(4, 3, 28, 28, generator=generator_for(0))
    together = backbone(images)
    torch.testing.assert_close(backbone(images[1:2]), together[1:2])
    assert not torch.allclose(together[0], together[1])


@pytest.mark.parametrize("name", BUILDERS)
def test_channels_last_memory_order_gives_the_same_features(name: str) -> None:
    backbone = tiny_backbone(name).eval()
    images = torch.randn(4, 3, 28, 28, generator=generator_for(0))
    expected = backbone(images)
    backbone.to(memory_format=torch.channels_last)
    torch.testing.assert_close(backbone(images.to(memory_format=torch.channels_last)), expected, rtol=1e-4, atol=1e-5)
