"""Models of timm as backbones: the library's own features, weights from a file, and what does not fit named."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from s2m2.errors import InputError
from s2m2.mixup import Mix
from s2m2.models import Backbone, build_backbone
from s2m2.random import generator_for
from s2m2.recipe import ModelConfig

timm = pytest.importorskip("timm", reason="the extra timm is not installed")

SIZE = 32


def built(name: str = "test_resnet", size: int = SIZE, seed: int = 0, **settings: Any) -> Backbone:
    return build_backbone(ModelConfig(backbone="timm", timm=name, **settings), size, generator_for(seed, "backbone"))


def images(size: int = SIZE) -> torch.Tensor:
    return torch.randn(3, 3, size, size, generator=generator_for(0, "images"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of another seed, with a classifier, as timm's own files have one."""
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(5)
        save_file(timm.create_model("test_resnet").state_dict(), path)
    return path


@pytest.mark.parametrize(("name", "size"), [("test_resnet", 32), ("test_vit", 48)])
def test_features_are_those_that_the_library_pools(name: str, size: int) -> None:
    backbone = built(name, size).eval()
    features = backbone(images(size))
    model = backbone.stages[0].model
    assert features.shape == (3, backbone.feature_dim)
    torch.testing.assert_close(features, model.forward_head(model.forward_features(images(size)), pre_logits=True))


def test_weights_follow_from_the_generator_and_leave_the_global_one_untouched() -> None:
    state = torch.get_rng_state()
    one, same, other = built(), built(), built(seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    name = next(name for name, value in one.state_dict().items() if value.ndim == 4)
    assert torch.equal(one.state_dict()[name], same.state_dict()[name])
    assert not torch.equal(one.state_dict()[name], other.state_dict()[name])


def test_it_is_one_stage_before_and_after_which_can_be_mixed() -> None:
    backbone = built().eval()
    assert len(backbone.stages) == 1
    partner, weights = torch.tensor([1, 2, 0]), torch.tensor([0.75])
    features = backbone(images())
    mixed = backbone(images(), Mix(stage=1, weights=weights, partners=partner[None]))
    torch.testing.assert_close(mixed, 0.25 * features + 0.75 * features[partner])
    batch = 0.25 * images() + 0.75 * images()[partner]
    torch.testing.assert_close(backbone(images(), Mix(stage=0, weights=weights, partners=partner[None])), backbone(batch))


def test_weights_of_a_file_are_loaded_without_the_classifier(weights: Path) -> None:
    loaded = built(weights=str(weights)).eval()
    with torch.random.fork_rng():
        torch.manual_seed(5)
        reference = timm.create_model("test_resnet").eval()
    torch.testing.assert_close(loaded(images()), reference.forward_head(reference.forward_features(images()), pre_logits=True))


def test_callers_that_load_others_over_them_need_no_file() -> None:
    config = ModelConfig(backbone="timm", timm="test_resnet", weights="/no/such/file.safetensors")
    assert build_backbone(config, SIZE).feature_dim > 0


def test_weights_that_do_not_fit_are_named(weights: Path, tmp_path: Path) -> None:
    state = load_file(weights)
    name = next(name for name, value in state.items() if value.ndim == 4)
    cases: list[tuple[dict[str, torch.Tensor], str]] = [
        ({key: value for key, value in state.items() if key != name}, f"lacks {name}"),
        ({**state, "more": torch.zeros(1)}, "more"),
        ({**state, name: torch.full_like(state[name], float("nan"))}, f"values in {name} that are not finite"),
        ({**state, name: torch.zeros(1, 1, 1, 1)}, "cannot be built"),
    ]
    for damaged, message in cases:
        save_file(damaged, tmp_path / "damaged.safetensors")
        with pytest.raises(InputError, match=message):
            built(weights=str(tmp_path / "damaged.safetensors"))
    with pytest.raises(InputError, match="cannot be read"):
        built(weights=str(tmp_path / "none.safetensors"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "no_such_model"}, "--model.timm is no_such_model"),
        ({"name": "test_vit", "size": 33}, "33 is no multiple of the 16 pixels of a patch .* --data.image_size 32 or 48 fits"),
        ({"width": 8}, "--model.width"),
        ({"dropout": 0.5}, "--model.dropout"),
        ({"weights": "x.safetensors", "pretrained": True}, "--model.weights"),
    ],
)
def test_settings_that_cannot_be_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        built(**settings)


@pytest.mark.parametrize("settings", [{"timm": "test_resnet"}, {"weights": "x.safetensors"}, {"pretrained": True}, {"backbone": "timm"}])
def test_settings_of_timm_need_timm_and_it_needs_a_name(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"--model.{'timm' if 'backbone' in settings else next(iter(settings))}"):
        ModelConfig(**settings)


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"s2m2\[timm\]"):
        built()
