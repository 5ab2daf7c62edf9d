"""`load`: the network of a folder as evaluation sees it, by hand with torchvision."""

from pathlib import Path

import pytest
import torch
from torchvision.transforms.v2 import functional as V

from s2m2.errors import InputError
from s2m2.models import build_backbone
from s2m2.random import generator_for
from s2m2.recipe import DataConfig, ModelConfig, Recipe, recipe_to_yaml
from s2m2.runs.checkpoint import fingerprint_of
from s2m2.runs.loading import evaluation_key, load
from tests.evaluation.random_run import random_run

RECIPE = Recipe(data=DataConfig(image_size=32, resize_ratio=1.15, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4)), model=ModelConfig(width=8))


def test_images_of_any_size_become_the_features_of_the_stage(tmp_path: Path) -> None:
    run = random_run(tmp_path, RECIPE, "pretrain", "finetune")
    images = torch.randint(256, (3, 50, 40, 3), dtype=torch.uint8, generator=generator_for(0, "images"))
    for stage, named in (("finetune", None), ("finetune", "finetune"), ("pretrain", "pretrain")):
        trained = load(run.path, named)
        assert (trained.stage, trained.backbone.training, trained.recipe.data) == (stage, False, RECIPE.data)
        resized = V.resize(images.permute(0, 3, 1, 2).float() / 255, [36, 36], antialias=True)
        seen = V.normalize(resized[:, :, 2:34, 2:34], list(RECIPE.data.mean), list(RECIPE.data.std))
        torch.testing.assert_close(trained.view(images), seen, rtol=1e-4, atol=1e-4)
        with torch.no_grad():
            expected = build_backbone(RECIPE.model, 32, generator_for(0, stage)).eval()(seen)
        torch.testing.assert_close(trained.features(images, batch_size=2), expected, rtol=1e-3, atol=1e-3)


def test_the_fingerprint_is_of_weights_images_split_and_view(tmp_path: Path) -> None:
    trained = load(str(random_run(tmp_path, RECIPE, "pretrain").path))
    expected = fingerprint_of(trained.backbone.state_dict(), "digest", "novel", evaluation_key(RECIPE.data))
    assert trained.fingerprint_on("digest", "novel") == expected
    assert trained.fingerprint_on("digest", "base") != expected


def test_a_folder_without_such_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no run directory: it has no recipe"):
        load(tmp_path / "nothing")
    with pytest.raises(InputError, match="has not finished any training stage"):
        load(random_run(tmp_path / "begun", RECIPE).path)
    with pytest.raises(InputError, match="has not finished the stage finetune"):
        load(random_run(tmp_path / "half", RECIPE, "pretrain").path, "finetune")
    (tmp_path / "half" / "recipe.yaml").write_text(recipe_to_yaml(Recipe()))
    with pytest.raises(InputError, match="does not state data"):
        load(tmp_path / "half")
