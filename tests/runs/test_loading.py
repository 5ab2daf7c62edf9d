"""`load`: features of the best weights after the preprocessing of the evaluation, computed by hand with torchvision."""

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


@pytest.mark.parametrize(("stage", "expected"), [(None, "finetune"), ("finetune", "finetune"), ("pretrain", "pretrain")])
def test_features_are_those_of_the_weights_of_a_stage(tmp_path: Path, stage: str | None, expected: str) -> None:
    run = random_run(tmp_path, RECIPE, "pretrain", "finetune")
    images = torch.randint(256, (3, 50, 40, 3), dtype=torch.uint8, generator=generator_for(0, "images"))
    loaded = load(run.path, stage=stage)
    assert (loaded.stage, loaded.backbone.training, loaded.recipe.data) == (expected, False, RECIPE.data)
    resized = V.resize(images.permute(0, 3, 1, 2).float() / 255, [36, 36], antialias=True)
    inputs = V.normalize(resized[:, :, 2:34, 2:34], *map(list, RECIPE.data.normalization))
    torch.testing.assert_close(loaded.prepare(list(images.numpy())), inputs, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        features = build_backbone(RECIPE.model, 32, generator_for(0, expected)).eval()(inputs)
    torch.testing.assert_close(loaded.features(images, batch_size=2), features, rtol=1e-3, atol=1e-3)


def test_the_fingerprint_is_of_weights_images_split_and_preprocessing(tmp_path: Path) -> None:
    loaded = load(random_run(tmp_path, RECIPE, "pretrain").path)
    expected = fingerprint_of(loaded.backbone.state_dict(), "digest", "novel", evaluation_key(RECIPE.data))
    assert loaded.fingerprint_on("digest", "novel") == expected
    assert loaded.fingerprint_on("digest", "base") != expected


def test_a_run_that_has_not_trained_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"begun has not finished any training stage"):
        load(random_run(tmp_path / "begun", RECIPE).path)
    run = random_run(tmp_path / "unresolved", RECIPE, "pretrain")
    run.recipe.write_text(recipe_to_yaml(Recipe()))
    with pytest.raises(InputError, match=r"unresolved.* does not state data\.image_size"):
        load(run.path)
