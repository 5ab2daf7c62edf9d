"""A run with random weights, finished in no time."""

import json
from dataclasses import asdict, replace
from pathlib import Path

from torch import nn

from s2m2.io import write_text
from s2m2.models import CosineHead, build_backbone
from s2m2.random import generator_for
from s2m2.recipe import Recipe, recipe_to_yaml
from s2m2.runs.checkpoint import Outcome, save_best, save_outcome
from s2m2.runs.directory import RunDirectory
from s2m2.runs.provenance import record

OUTCOME = Outcome(epochs=3, best_epoch=2, best_score=0.4321, seconds=12.5)
INTERVAL = 0.0123
"""Of the validation score that the outcome states."""


def random_run(path: Path, recipe: Recipe, *stages: str) -> RunDirectory:
    """A run directory whose stages ended with random weights, each with its own."""
    run = RunDirectory(path)
    mean, std = recipe.data.normalization
    write_text(run.recipe, recipe_to_yaml(replace(recipe, data=replace(recipe.data, mean=mean, std=std))))
    for stage in stages:
        network = build_backbone(recipe.model, recipe.data.size, generator_for(0, stage))
        objective = nn.ModuleDict({"class_head": CosineHead(network.feature_dim, 5, 2.0)})
        save_best(run.best(stage), network, objective, {"stage": stage, "epoch": 2, "validation_score": OUTCOME.best_score})
        save_outcome(run.outcome(stage), OUTCOME)
    rows = [
        {"stage": stage, "kind": "validation", "step": 9 * epoch, "epoch": epoch, "score": OUTCOME.best_score - (epoch - 2) ** 2 / 10}
        for stage in stages
        for epoch in (1.0, 2.0, 3.0)
    ]
    write_text(run.metrics, "".join(json.dumps({**row, "interval": INTERVAL}) + "\n" for row in rows))
    record(run, runtime=asdict(recipe.runtime))
    return run
