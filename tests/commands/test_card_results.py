"""Which results of a run are shown on the card of its weights."""

from dataclasses import replace
from pathlib import Path

from s2m2.evaluation.results import save_results
from s2m2.evaluation.trained import load_backbone
from s2m2.recipe import DataConfig, ModelConfig, Recipe
from s2m2.reports.exporting import card_results
from tests.evaluation.random_run import random_run
from tests.reporting.made_up import made_up_results


def test_results_that_state_no_weights_have_to_be_younger_than_the_stage(tmp_path: Path) -> None:
    recipe = Recipe(data=DataConfig(image_size=28, resize_ratio=1.15), model=ModelConfig(width=4))
    run = random_run(tmp_path, recipe, "finetune")
    one = made_up_results("finetune", "ridge", 1, 0.6)
    one = replace(one, fingerprint=load_backbone(run.path).fingerprint_on(one.data_digest, one.split))
    save_results(run.results, one)
    before, after = "2001-01-01T00:00:00+00:00", "2099-01-01T00:00:00+00:00"
    crops, queries = replace(one, features="finetune-crops30"), replace(one, data_digest=f"{one.data_digest}+{'e' * 64}")
    for change in (crops, queries):
        for place, created in enumerate((before, after, "")):
            save_results(run.results, replace(change, seed=place, created=created))
    kept, left_out = card_results(run, load_backbone(run.path))
    assert left_out == 4
    assert {result.created for result in kept if result.features != "finetune" or "+" in result.data_digest} == {after}
    assert len(kept) == 3
