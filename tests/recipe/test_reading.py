"""Recipe files: layers, strict YAML, and names of version 0.1.0."""

from pathlib import Path
from typing import Any

import pytest

from s2m2.errors import InputError
from s2m2.recipe import Recipe, differences, read_recipe, recipe_to_yaml
from s2m2.recipe.legacy import modernize

FULL = Path(__file__).with_name("recipe_0_1_0.yaml")
"""A recipe.yaml as version 0.1.0 wrote it into run directories, every renamed setting changed."""
CHANGED: dict[str, Any] = {
    "seed": 3,
    "data.path": "datasets/birds",
    "data.validation_dataset": "datasets/val",
    "data.image_size": 84,
    "data.mean": (0.485, 0.456, 0.406),
    "data.std": (0.229, 0.224, 0.225),
    "data.resize_ratio": 1.2,
    "data.augment.scale": (0.2, 0.9),
    "data.augment.ratio": (0.8, 1.25),
    "data.holdout_fraction": 0.1,
    "data.label_noise": 0.05,
    "model.backbone": "resnet12",
    "model.width": 16,
    "pretrain.ema_decay": 0.99,
    "pretrain.bn_recalibration_images": 256,
    "pretrain.objective": "mixup",
    "pretrain.mix.per_sample": True,
    "pretrain.mix.prob": 0.5,
    "pretrain.mix.num_images": 3,
    "finetune.ema_decay": 0.9,
    "finetune.bn_recalibration_images": 128,
    "finetune.validation.classifier": "tim_fast",
    "finetune.mix.prob": 0.75,
    "evaluate.novel_dataset": "datasets/novel",
    "evaluate.query_dataset": "datasets/queries",
    "evaluate.dirichlet_concentration": 1.5,
    "evaluate.open_set_classes": 3,
    "evaluate.transforms": ("center_base", "unit", "center_support"),
    "evaluate.classifiers": (
        {"name": "cosine", "epochs": 400},
        "cosine_centroid",
        {"name": "calibrated", "neighbors": 3},
        {"name": "tim_fast", "steps": 500},
        "alpha_tim",
        {"name": "laplacian_shot", "weight": 0.7, "center": False},
        {"name": "logistic", "C": 10.0},
    ),
    "analyze.images": 12,
    "runtime.precision": "32-true",
}


def test_a_full_recipe_of_0_1_0_keeps_every_setting() -> None:
    recipe = read_recipe(FULL)
    assert {path: value for path, value, _ in differences(recipe, Recipe())} == CHANGED


def test_todays_recipe_is_read_as_written(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(recipe_to_yaml(read_recipe(FULL)))
    assert read_recipe(tmp_path / "recipe.yaml") == read_recipe(FULL)


@pytest.mark.parametrize(
    ("tree", "classifiers", "notes"),
    [
        ({"heads": ["tim", "cosine"]}, ["tim_fast", "cosine"], ["evaluate.heads is now evaluate.classifiers"]),
        ({"heads": ["tim"], "tim": {"adam": "elementwise", "scale": 3.0}}, [{"name": "tim", "scale": 3.0}], None),
        ({"cosine": {"epochs": 7}}, [{"name": "cosine", "epochs": 7}, "nearest_mean"], None),
        ({"classifiers": ["tim"]}, ["tim"], []),
    ],
)
def test_classifiers_of_0_1_0_bring_their_settings(tree: dict[str, Any], classifiers: list[Any], notes: list[str] | None) -> None:
    renewed, renamed = modernize({"evaluate": tree})
    assert renewed == {"evaluate": {"classifiers": classifiers}}
    assert notes is None or renamed == notes


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("seed: 1\nseed: 2\n", "line 2: seed is stated twice"),
        ("pretrain: {epochs: 1, epochs: 2}", "line 1: epochs is stated twice"),
        ("seed: 017", "line 1: 017 is not a decimal number"),
        ("seed: 1:30:00", "line 1: 1:30:00 is not a decimal number"),
        ("pretrain: [{epochs: 50}]", "--pretrain is [{'epochs': 50}], but must be a section"),
        ("pretrain:\n  epoch: 3\n", "no setting pretrain.epoch; did you mean pretrain.epochs?"),
        ("pretrian: {epochs: 3}", "no setting pretrian; did you mean pretrain?"),
        ("pretrain: {epochs: 0}", "--pretrain.epochs is 0"),
        ("pretrain: {epochs: none at all}", "--pretrain.epochs is none at all, but must be a whole number, 1 or more"),
        ("pretrain: 3", "--pretrain is 3, but must be a section of settings"),
        ("data: {mean: 3}", "--data.mean is 3, but must be 3 values, each a number"),
        ("evaluate: {classifiers: [cosinus]}", "did you mean cosine?"),
        (
            "evaluate: {classifiers: [3]}",
            "--evaluate.classifiers has 3, but each value must be a name, or a name with settings",
        ),
        ("evaluate: {classifiers: []}", "--evaluate.classifiers is [], but must be one or more classifiers"),
        ("evaluate: {tasks_from: [3]}", "--evaluate.tasks_from must be a list of values, each a path"),
        ("data: {table: a, path: b}", "data.table, whose name is now data.path, and data.path too"),
        ("pretrain: [", "while parsing"),
        ("- 1\n", "holds no settings"),
        ("\x00", "special characters"),
    ],
)
def test_a_wrong_file_is_one_line_with_its_name(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_recipe(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert error in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no recipe file .*missing"):
        read_recipe(tmp_path / "missing.yaml")


@pytest.mark.parametrize("text", ["", "# nothing\n", "pretrain:\n", "seed: 0\n"])
def test_what_is_not_stated_has_its_default(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    assert read_recipe(tmp_path / "recipe.yaml") == Recipe()


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("classifiers: cosine", "classifiers", ("cosine",)),
        ("classifiers: {name: tim, steps: 5}", "classifiers", ({"name": "tim", "steps": 5},)),
        ("ways: 5", "ways", (5,)),
        ("protocols: s2m2", "protocols", ("s2m2",)),
        ("tasks_from: tasks.npz", "tasks_from", (Path("tasks.npz"),)),
    ],
)
def test_a_value_alone_is_a_list_of_one(tmp_path: Path, text: str, name: str, value: object) -> None:
    (tmp_path / "recipe.yaml").write_text(f"evaluate: {{{text}}}")
    assert getattr(read_recipe(tmp_path / "recipe.yaml").evaluate, name) == value


def test_a_later_file_lies_over_an_earlier_one(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("pretrain: {epochs: 3, optimizer: {learning_rate: 1e-3}}")
    (tmp_path / "b.yaml").write_text("pretrain: {epochs: 5}")
    recipe = read_recipe(tmp_path / "a.yaml", tmp_path / "b.yaml")
    assert (recipe.pretrain.epochs, recipe.pretrain.optimizer.learning_rate) == (5, 0.001)


def test_weights_of_stage_1_that_held_in_stage_2_too_still_do() -> None:
    tree = {"pretrain": {"classification_weight": 0.5}, "finetune": {"auxiliary_weight": 0.5}}
    renewed, notes = modernize(tree)
    assert renewed["finetune"] == {"auxiliary_weight": 0.5, "classification_weight": 0.5}
    assert notes == ["pretrain.classification_weight 0.5, which held in stage 2 too, is now finetune.classification_weight there"]
    assert modernize(renewed) == (renewed, [])
    assert modernize({"pretrain": {"classification_weight": 0.5}})[1] == []
