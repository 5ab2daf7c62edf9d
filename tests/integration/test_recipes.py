"""Every shipped recipe trains, fine-tunes and is scored: a shortened pass, with narrow networks on glyphs in place of its data."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2m2.data.dataset import open_dataset
from s2m2.data.writing import DatasetContents, write_dataset
from s2m2.evaluation.run_evaluation import check_tasks
from s2m2.pipeline import check_finetuning, check_pretraining, finetune_stage, open_session, pretrain_stage, score_session
from s2m2.recipe import EvaluateConfig, ModelConfig, Recipe, RuntimeConfig, TrainingConfig, read_recipe

pytestmark = pytest.mark.usefixtures("one_thread")
CONFIGS = Path(__file__).parents[2] / "configs"
OVERLAYS = sorted((CONFIGS / "ablations").glob("*.yaml"))
RECIPES = sorted(set(CONFIGS.rglob("*.yaml")) - set(OVERLAYS))


@pytest.fixture(scope="module")
def few_glyphs(glyph_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Glyphs for two steps an epoch, and for tasks of five ways: 8 base, 5 validation and 5 novel classes."""
    dataset = open_dataset(glyph_folder)
    count = 18 * np.bincount(dataset.labels)[0]
    contents = DatasetContents(
        name=dataset.name,
        size=(dataset.images.shape[1], dataset.images.shape[2]),
        labels=dataset.labels[:count],
        class_names=dataset.class_names[:18],
        splits={"base": tuple(range(8)), "validation": tuple(range(8, 13)), "novel": tuple(range(13, 18))},
        settings={},
    )
    folder = tmp_path_factory.mktemp("few") / "glyphs"
    write_dataset(folder, contents, [dataset.images[:count]])
    return folder


def shortened(recipe: Recipe, dataset: Path) -> Recipe:
    """A recipe of a second or two; only sizes change."""

    def brief(config: TrainingConfig) -> Any:
        validation = replace(config.validation, tasks=5, queries=2)
        images = min(config.bn_recalibration_images, 32)
        return replace(config, epochs=min(config.epochs, 1), batch_size=32, bn_recalibration_images=images, validation=validation)

    model: ModelConfig = replace(recipe.model, width=4)
    evaluate: EvaluateConfig = replace(recipe.evaluate, classifiers=("nearest_mean",), tasks=10, queries=2, details=False)
    runtime: RuntimeConfig = replace(recipe.runtime, accelerator="cpu", compile=False, threads=1)
    return replace(
        recipe,
        data=replace(recipe.data, path=str(dataset)),
        model=model,
        pretrain=brief(recipe.pretrain),
        finetune=brief(recipe.finetune),
        evaluate=evaluate,
        runtime=runtime,
    )


@pytest.mark.parametrize(
    "paths",
    [*[(path,) for path in RECIPES], *[(CONFIGS / "cifar_fs" / "paper.yaml", overlay) for overlay in OVERLAYS]],
    ids=lambda paths: "+".join(f"{path.parent.name}-{path.stem}" for path in paths),
)
def test_a_shipped_recipe_runs_through_its_stages(paths: tuple[Path, ...], few_glyphs: Path, tmp_path: Path) -> None:
    recipe = shortened(read_recipe(*paths), few_glyphs)
    session = open_session(recipe, tmp_path / "run", check_pretraining, check_finetuning, check_tasks)
    assert pretrain_stage(session).epochs == 1
    if recipe.finetune.epochs:
        assert finetune_stage(session).epochs == 1
    results, _ = score_session(session)
    assert {result.features for result in results} == set(recipe.evaluate.features)
    assert {result.shots for result in results} == {1, 5}
    assert all(0 <= result.mean <= 1 for result in results)


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_an_overlay_changes_what_it_states_and_nothing_else(overlay: Path) -> None:
    base, overlaid = read_recipe(CONFIGS / "cub" / "paper.yaml"), read_recipe(CONFIGS / "cub" / "paper.yaml", overlay)
    assert (overlaid.data, overlaid.model, overlaid.runtime, overlaid.seed) == (base.data, base.model, base.runtime, base.seed)
    assert overlaid.pretrain != base.pretrain or overlay.stem == "rotation"
    assert (overlaid.pretrain.epochs, overlaid.pretrain.optimizer) == (base.pretrain.epochs, base.pretrain.optimizer)
    assert overlaid.finetune == replace(base.finetune, epochs=overlaid.finetune.epochs)
