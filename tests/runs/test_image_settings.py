"""What the network sees, where the recipe leaves it open: as the weights of timm were trained, written into the run and told."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from s2m2.cli import main
from s2m2.data.dataset import ImageDataset
from s2m2.recipe import DataConfig, ModelConfig, Recipe, read_recipe
from s2m2.runs.image_settings import resolve_images

timm = pytest.importorskip("timm", reason="the extra timm is not installed")

WEIGHTS = ModelConfig(backbone="timm", timm="vit_tiny_patch16_224", weights="v.safetensors")


def test_weights_bring_their_normalization_and_crop(small_glyphs: ImageDataset) -> None:
    recipe, note = resolve_images(Recipe(model=WEIGHTS), small_glyphs)
    assert (recipe.data.mean, recipe.data.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert recipe.data.resize_ratio == pytest.approx(1 / 0.9, abs=1e-4)
    assert recipe.data.image_size == 32  # as stored; 224 would be enlarged
    assert note == (
        "as the weights of vit_tiny_patch16_224 were trained: --data.mean 0.5 0.5 0.5, --data.std 0.5 0.5 0.5, --data.resize_ratio 1.111"
    )
    assert resolve_images(recipe, small_glyphs) == (recipe, "")


def test_stated_numbers_stay(small_glyphs: ImageDataset) -> None:
    data = DataConfig(mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0), image_size=48, resize_ratio=1.0)
    assert resolve_images(Recipe(model=WEIGHTS, data=data), small_glyphs) == (Recipe(model=WEIGHTS, data=data), "")


@pytest.mark.parametrize("model", [ModelConfig(), ModelConfig(backbone="timm", timm="vit_tiny_patch16_224")])
def test_random_weights_see_what_they_saw(small_glyphs: ImageDataset, model: ModelConfig) -> None:
    recipe, note = resolve_images(Recipe(model=model), small_glyphs)
    assert (recipe.data.mean, recipe.data.std, recipe.data.resize_ratio, note) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1.15, "")


def test_a_run_states_what_its_weights_brought(tmp_path: Path, glyph_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with torch.random.fork_rng():
        save_file(timm.create_model("test_vit").state_dict(), tmp_path / "v.safetensors")
    flags = ["--data.path", str(glyph_folder), "--model.backbone", "timm", "--model.timm", "test_vit", "--pretrain.epochs", "1"]
    flags += ["--pretrain.validation.queries", "2"]
    flags += ["--model.weights", str(tmp_path / "v.safetensors"), "--runtime.accelerator", "cpu", "--run", str(tmp_path / "run")]
    refused = main(["pretrain", *flags, "--data.image_size", "40"])
    assert (refused, (tmp_path / "run").exists()) == (2, False)
    assert "--data.image_size 32 or 48 fits" in capsys.readouterr().err
    assert main(["pretrain", *flags]) == 0
    data = read_recipe(tmp_path / "run" / "recipe.yaml").data
    assert (data.mean, data.image_size, data.resize_ratio) == ((0.5, 0.5, 0.5), 32, pytest.approx(1 / 0.95, abs=1e-4))
    assert "as the weights of test_vit were trained: --data.mean 0.5 0.5 0.5" in capsys.readouterr().out
