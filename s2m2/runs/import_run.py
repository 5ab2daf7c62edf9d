"""The weights of a run, or of an export, as the start of another run, on whatever images it is given."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from s2m2.errors import InputError
from s2m2.io import create_folder, write_json
from s2m2.recipe import EvaluateConfig, FinetuneConfig, ImportConfig, Recipe
from s2m2.runs.checkpoint import Outcome, load_outcome, read_tensors, save_outcome, save_tensors
from s2m2.runs.directory import RunDirectory, write_recipe
from s2m2.runs.importing import check_new
from s2m2.runs.loading import load
from s2m2.runs.provenance import record


def import_run(config: ImportConfig) -> str:
    """Write a run directory with the best weights of the last finished stage of another, and return that stage.

    The images, unlike the network, are those of `config.dataset`. Names of the base classes come along, so that fine-tuning can tell
    whether the classifier is of its classes.

    Raises:
        InputError: the source is no finished run, or the output exists or cannot be written.
    """
    check_new(config.output)
    trained = load(config.source)
    tensors, about = read_tensors(trained.run.best(trained.stage))
    outcome = load_outcome(trained.run.outcome(trained.stage))
    assert outcome is not None, "checked when the weights were loaded"
    name = f"run {config.source.resolve().name}"
    source = {
        "source": name,
        "stage": config.stage,
        "trained_as": trained.stage,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    classes = {"classes": about["classes"]} if "classes" in about else {}
    if not classes and trained.classes is not None:
        classes = {"classes": json.dumps(trained.classes)}
    try:
        with create_folder(config.output) as folder:
            run = RunDirectory(folder)
            write_recipe(run, _recipe(trained.recipe, config))
            record(run, imported=source)
            words = {"stage": config.stage, "epoch": outcome.best_epoch, "source": name, **classes}
            checksum = save_tensors(run.best(config.stage), tensors, words)
            write_json(run.imported, source)
            ended = Outcome(epochs=outcome.epochs, best_epoch=outcome.best_epoch, imported=name, weights=checksum)
            save_outcome(run.outcome(config.stage), ended)
    except OSError as error:
        raise InputError(f"--output {config.output} cannot be written: {error.strerror or error}") from error
    return trained.stage


def _recipe(recipe: Recipe, config: ImportConfig) -> Recipe:
    """That of the weights, on other images; its image size stays, as its network was trained for it."""
    return replace(
        recipe,
        data=replace(recipe.data, path=config.dataset, validation_dataset=None, download=None),
        finetune=recipe.finetune if recipe.finetune.epochs else FinetuneConfig(),
        evaluate=EvaluateConfig(features=(config.stage,)),
    )
