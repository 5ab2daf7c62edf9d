"""Every shipped recipe is read, built and described."""

import re
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from s2m2.data.standard_datasets import DATASETS
from s2m2.models import build_backbone
from s2m2.recipe import read_recipe
from s2m2.training.objectives import check_mix_stages, pretrain_objective
from s2m2.training.optim import build_optimizer

CONFIGS = sorted((Path(__file__).parents[1] / "configs").rglob("*.yaml"))
assert CONFIGS


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_shipped_recipe_can_be_built(path: Path) -> None:
    recipe = read_recipe(path)
    backbone = build_backbone(recipe.model, recipe.data.image_size or DATASETS[Path(recipe.data.path).name].image_size)
    objective = pretrain_objective(recipe, backbone.feature_dim, classes=64)
    check_mix_stages("finetune.mix", recipe.finetune.mix, backbone)
    assert build_optimizer(recipe.pretrain.optimizer, objective)
    assert build_optimizer(recipe.finetune.optimizer, backbone)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_shipped_recipe_opens_with_its_row_results_and_command(path: Path) -> None:
    header = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    text = "\n".join(header)
    assert f" configs/{path.parent.name}/{path.name}" in text
    for heading in ("Row:", "Expected:", "Measured:", "Hardware:", "Command:"):
        assert heading in text, heading


RATE = 300e12
"""Operations per second of the stated budgets."""
FAST = [path for path in CONFIGS if path.stem.startswith("fast")]


def stated_budget(path: Path) -> float:
    """Minutes, from the header of a fast recipe."""
    (minutes,) = re.findall(r"# Budget: +([\d.]+) minutes", path.read_text(encoding="utf-8"))
    return float(minutes)


@pytest.mark.parametrize("path", FAST, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_budget_of_a_fast_recipe_is_that_of_its_arithmetic(path: Path) -> None:
    recipe, dataset = read_recipe(path), DATASETS[path.parent.name]
    with FlopCounterMode(display=False) as counter:
        build_backbone(recipe.model, dataset.image_size).to("meta")(
            torch.empty(1, 3, dataset.image_size, dataset.image_size, device="meta")
        )
    # Backward is twice forward; stage 2 passes the mixed batch and the auxiliary part of the batch.
    passes = recipe.pretrain.epochs + recipe.finetune.epochs * (1 + 1 / recipe.finetune.auxiliary_stride)
    minutes = 3 * counter.get_total_flops() * dataset.images["base"] * passes / RATE / 60
    assert stated_budget(path) == pytest.approx(minutes, abs=0.06)
    (limit,) = re.findall(r"# Hardware: meant for one H100 and (.*?);", path.read_text(encoding="utf-8"))
    longest = {"20 minutes": 20, "40 minutes": 40, "an hour": 60, "less time than fast.yaml": stated_budget(path.with_name("fast.yaml"))}
    assert minutes < longest[limit]


@pytest.mark.parametrize("path", [path for path in CONFIGS if path.stem == "paper"], ids=lambda path: path.parent.name)
def test_the_papers_recipes_weigh_stage_1_as_the_authors_do_and_stage_2_as_the_paper(path: Path) -> None:
    recipe = read_recipe(path)
    assert (recipe.pretrain.classification_weight, recipe.pretrain.self_supervision_weight) == (0.5, 0.5)
    stage_2 = recipe.finetune.auxiliary_weight, recipe.finetune.classification_weight, recipe.finetune.self_supervision_weight
    assert stage_2 == (0.5, 1.0, 1.0)
    assert (recipe.evaluate.tasks, recipe.evaluate.queries) == ((600, 15) if path.parent.name == "cub" else (10_000, 15))
    if path.parent.name != "fc100":
        header = path.read_text(encoding="utf-8")
        assert all(words in header for words in ("0.5 L_class + 0.5 L_rot", "rotation head", "last epoch", "101, 201 and 301"))
