"""Released weights under the names of this package: the same network, every tensor used once, and an error that names what does not fit."""

import pytest
import torch
from torch import Tensor

from s2m2.errors import InputError
from s2m2.models import CosineHead
from s2m2.models.released import released_names, translate
from s2m2.models.wide_resnet import wrn28_10
from s2m2.random import generator_for
from tests.reference.wide_resnet import released_network

State = dict[str, Tensor]
WIDTH = 4


def state(outputs: int | None = 64, width: int = WIDTH) -> State:
    return dict(released_network(width, outputs).state_dict())


def test_the_released_files_have_155_names_each_of_which_is_in_the_backbone() -> None:
    assert len(state()) == 155
    assert len(set(released_names().values())) == len(released_names()) == 153
    with torch.device("meta"):
        assert released_names().keys() == wrn28_10().state_dict().keys()


@pytest.mark.parametrize(("width", "size"), [(4, 32), (6, 21), (16, 16)])
def test_the_translated_network_computes_what_the_authors_architecture_does(width: int, size: int) -> None:
    backbone = wrn28_10(width)
    backbone.load_state_dict(translate(state(width=width)).backbone)
    images = torch.randn(3, 3, size, size, generator=generator_for(0, "images"))
    expected = released_network(width)(images)
    assert expected.std() > 0.01
    torch.testing.assert_close(backbone.eval()(images), expected, rtol=1e-5, atol=1e-5)


def wrapped(name: str) -> str:
    return f"module.{name}"


def of_the_rotation_stage(name: str) -> str:
    return name.replace("linear.L", "classifier.L") if name.startswith("linear") else f"feature.{name}"


def wrapped_inside(name: str) -> str:
    return of_the_rotation_stage(name).replace("feature.", "feature.module.")


@pytest.mark.parametrize("rename", [wrapped, of_the_rotation_stage, wrapped_inside, lambda name: wrapped(of_the_rotation_stage(name))])
def test_prefixes_make_no_difference(rename: object) -> None:
    assert callable(rename)
    plain, renamed = translate(state()), translate({rename(name): value for name, value in state().items()})
    assert renamed.width == plain.width == WIDTH
    assert all(torch.equal(value, renamed.backbone[name]) for name, value in plain.backbone.items())
    assert plain.class_head is not None
    assert renamed.class_head is not None
    assert all(torch.equal(value, renamed.class_head[name]) for name, value in plain.class_head.items())


@pytest.mark.parametrize("prefix", ["", "module.", "feature.", "feature.module.", "model.", "net.module.", "_orig_mod."])
@pytest.mark.parametrize("layer", ["linear", "classifier"])
def test_a_plain_softmax_layer_is_a_linear_head(prefix: str, layer: str) -> None:
    weight, bias = torch.randn(64, 4 * WIDTH), torch.randn(64)
    tensors = {f"{prefix}{name}": value for name, value in {**state(None), f"{layer}.weight": weight, f"{layer}.bias": bias}.items()}
    weights = translate(tensors)
    assert (weights.head, weights.outputs) == ("linear", 64)
    assert weights.class_head is not None
    assert torch.equal(weights.class_head["weight"], weight)
    assert torch.equal(weights.class_head["bias"], bias)


@pytest.mark.parametrize("outputs", [64, 200, 351])
def test_the_head_gives_the_logits_of_weight_normalization(outputs: int) -> None:
    tensors = state(outputs)
    weights = translate(tensors)
    assert weights.outputs == outputs
    head = CosineHead(4 * WIDTH, outputs, scale=2.0)
    head.load_state_dict(weights.class_head or {})
    features = torch.randn(5, 4 * WIDTH, generator=generator_for(0, "features"))
    direction = tensors["linear.L.weight_v"]
    weight = tensors["linear.L.weight_g"] * direction / direction.norm(dim=1, keepdim=True)
    expected = 2 * (features / (features.norm(dim=1, keepdim=True) + 1e-5)) @ weight.T
    torch.testing.assert_close(head(features).detach(), expected)


def test_a_file_may_have_no_head() -> None:
    weights = translate(state(None))
    assert (weights.class_head, weights.outputs, weights.rotation_head) == (None, None, None)


@pytest.mark.parametrize("prefix", ["", "0.", "module.0."])
def test_the_rotation_head_is_kept(prefix: str) -> None:
    rotate = {f"{prefix}weight": torch.randn(4, 4 * WIDTH), f"{prefix}bias": torch.randn(4)}
    rotation_head = translate(state(), rotate).rotation_head
    assert rotation_head is not None
    assert torch.equal(rotation_head["weight"], rotate[f"{prefix}weight"])
    assert torch.equal(rotation_head["bias"], rotate[f"{prefix}bias"])


def test_what_is_translated_does_not_share_memory_with_the_file() -> None:
    tensors = state()
    weights = translate(tensors)
    tensors["conv1.weight"].zero_()
    assert weights.backbone["stages.0.0.weight"].abs().min() > 0


def changed(name: str, value: Tensor | None) -> State:
    return {key: tensor for key, tensor in {**state(), name: value}.items() if tensor is not None}


NAN = torch.full((4,), float("nan"))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (changed("block2.layer.1.bn2.bias", None), "lacks block2.layer.1.bn2.bias"),
        (changed("conv1.weight", None), "lacks conv1.weight"),
        (changed("block1.layer.0.conv1.weight", None), "lacks block1.layer.0.conv1.weight"),
        (changed("block1.layer.4.conv1.weight", torch.zeros(4, 4, 3, 3)), "has block1.layer.4.conv1.weight"),
        (changed("block3.layer.0.convShortcut.weight", torch.zeros(16, 8, 3, 3)), r"of shape \(16, 8, 3, 3\), not \(16, 8, 1, 1\)"),
        (changed("block1.layer.1.bn1.weight", NAN), "values in block1.layer.1.bn1.weight that are not finite"),
        (changed("conv1.weight", torch.zeros(16, 3, 3, 3, dtype=torch.int64)), "conv1.weight of type int64"),
        (changed("module.conv1.weight", torch.zeros(16, 3, 3, 3)), "has conv1.weight twice"),
        (changed("linear.L.weight_g", None), "lacks linear.L.weight_g"),
        (changed("linear.L.weight_v", torch.zeros(64, 5)), "weight_v of the head of shape"),
        ({**state(None), "linear.weight": torch.zeros(64, 16)}, "lacks linear.bias as a vector"),
        ({**state(None), "linear.weight": torch.zeros(64, 5), "linear.bias": torch.zeros(64)}, "weight of the head of shape"),
        ({**state(), "linear.bias": torch.zeros(64)}, "has linear.bias, which"),
        (changed("classifier.L.weight_v", torch.zeros(64, 16)), "two heads"),
        ({"layer1.0.conv1.weight": torch.zeros(1)}, "lacks block1.layer.0.conv1.weight"),
        ({}, "lacks"),
    ],
)
def test_what_does_not_fit_is_named(tensors: State, message: str) -> None:
    with pytest.raises(InputError, match=message):
        translate(tensors)


@pytest.mark.parametrize(
    ("rotate", "message"),
    [
        ({"0.weight": torch.zeros(4, 16)}, "lacks bias of the rotation head"),
        ({"0.weight": torch.zeros(3, 16), "0.bias": torch.zeros(3)}, "of shape"),
        ({"1.weight": torch.zeros(4, 16)}, "has 1.weight in its rotation head"),
    ],
)
def test_a_rotation_head_of_another_form_is_named(rotate: State, message: str) -> None:
    with pytest.raises(InputError, match=message):
        translate(state(), rotate)
