"""Every shipped recipe is read, built and described."""

from pathlib import Path

import pytest

from s2m2.data.datasets import DATASETS
from s2m2.models import build_backbone
from s2m2.recipe import read_recipe
from s2m2.training.build import check_mix_stages, pretrain_objective
from s2m2.training.optimizer import build_optimizer

CONFIGS = sorted((Path(__file__).parents[1] / "configs").rglob("*.yaml"))


def test_there_are_recipes() -> None:
    assert CONFIGS


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_shipped_recipe_can_be_built(path: Path) -> None:
    recipe = read_recipe(path)
    backbone = build_backbone(recipe.model, recipe.data.image_size or DATASETS[Path(recipe.data.table).name].image_size)
    objective = pretrain_objective(recipe, backbone.feature_dim, classes=64)
    check_mix_stages("finetune.mix", recipe.finetune.mix, backbone)
    assert build_optimizer(recipe.pretrain.optimizer, objective)
    assert build_optimizer(recipe.finetune.optimizer, backbone)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_shipped_recipe_opens_with_what_it_is_and_how_to_run_it(path: Path) -> None:
    header = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    text = "\n".join(header)
    assert f" configs/{path.parent.name}/{path.name}" in text
    for word in ("Row:", "Expected:", "Measured:", "Hardware:", "Command:"):
        assert word in text, word
