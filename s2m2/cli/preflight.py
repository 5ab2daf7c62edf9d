"""What can be refused by a look at the paths of a call, in a fraction of a second: the commands themselves import torch first.

They check all of this again, and more.
"""

import glob
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from s2m2.errors import InputError
from s2m2.io import expanded
from s2m2.recipe import (
    CompareConfig,
    DoctorConfig,
    ExportConfig,
    FeatureFileConfig,
    FitConfig,
    ImportConfig,
    PredictConfig,
    PrepareConfig,
    Recipe,
    ServeConfig,
    SuggestConfig,
    TableConfig,
)
from s2m2.recipe.model_folder import check_model_output
from s2m2.runs.named_weights import meant

NEED_A_RUN = ("evaluate", "analyze")
"""Commands that work on a run that is there."""
STDIN = "-"
DRAWN_NAMES = ("glyphs",)
"""Names of `data.catalog.DRAWN`, whose import takes half a second."""


def check_settings(config: Any) -> None:
    """Raise `InputError` if what the settings of a command name is not there."""
    check = CHECKS.get(type(config))
    if check is not None:
        check(config)


def check_recipe(name: str, recipe: Recipe, run: Path, options: Any) -> None:
    """Raise `InputError` if the run, the feature files or the dataset of a call are not there.

    Args:
        name: of the command.
        options: the command's own settings.
    """
    if isinstance(options, FeatureFileConfig) and options.features is not None:
        for file in filter(None, (options.features, options.base_features, options.validation_features)):
            if not file.is_file():
                raise InputError(f"no feature file {file}")
        return
    of_pixels = name == "evaluate" and "pixels" in recipe.evaluate.features  # which need no trained network
    if name in NEED_A_RUN and not of_pixels and not (run / "recipe.yaml").is_file():
        missing = "it has no recipe.yaml" if run.exists() else "there is no such directory"
        raise InputError(f"--run {run} is no run directory: {missing}{meant(run)}")
    data = recipe.data
    if data.download is None and data.path not in DRAWN_NAMES and not _exists(data.path):
        raise InputError(f"--data.path {data.path}: {_no_dataset(data.path)}")


def _no_dataset(path: str) -> str:
    """Why there is no dataset at a path; bare names might mean one that can be downloaded."""
    if os.sep in path:
        return "there is no such folder"
    from s2m2.data.learn2learn_datasets import CLASSES  # which imports no torch

    hint = "; --data.download learn2learn obtains it" if path in CLASSES else ""
    return f"no dataset {path}: neither a folder that `s2m2 prepare` wrote nor one of {', '.join(DRAWN_NAMES)}{hint}"


def _fit(config: FitConfig) -> None:
    check_model_output(config.output, add=config.add, overwrite=config.overwrite)
    _source(config.images)


def _source(path: Path) -> None:
    if not _exists(path):
        raise InputError(f"no such file or folder {path}" if path.suffix else f"no such folder {path}")


def _model(path: Path) -> None:
    if not expanded(path).is_dir():
        raise InputError(f"there is no model folder {path}")


def _predict(config: PredictConfig | SuggestConfig) -> None:
    _model(config.model)
    _photos(config.photos)


def _photos(photos: Iterable[str]) -> None:
    for photo in photos:
        if photo != STDIN and not glob.has_magic(photo) and not _exists(photo):
            raise InputError(f"there is no file or folder {photo}")


def _export(config: ExportConfig) -> None:
    if not config.run.exists():
        raise InputError(f"--run {config.run} is no run directory: there is no such directory{meant(config.run)}")


def _import(config: ImportConfig) -> None:
    if not config.source.exists():
        raise InputError(f"cannot read {config.source}: No such file or directory{meant(config.source)}")


def _compare(config: CompareConfig) -> None:
    for path in filter(None, (config.first, config.second)):
        if not _exists(path):
            raise InputError(f"there is nothing at {path}; a run's directory is compared with another, or a file of results with another")


def _table(config: TableConfig) -> None:
    for path in config.runs:
        if not _exists(path):
            raise InputError(f"there is nothing at {path}; a table is made of run directories and files of results")


def _prepare(config: PrepareConfig) -> None:
    if not config.download:
        _source(config.source)


def _doctor(config: DoctorConfig) -> None:
    if config.data not in DRAWN_NAMES and not _exists(config.data):
        raise InputError(f"no such folder {config.data}")


CHECKS: Mapping[type, Callable[[Any], None]] = {
    FitConfig: _fit,
    PredictConfig: _predict,
    SuggestConfig: _predict,
    ServeConfig: lambda config: _model(config.model),
    ExportConfig: _export,
    ImportConfig: _import,
    CompareConfig: _compare,
    TableConfig: _table,
    PrepareConfig: _prepare,
    DoctorConfig: _doctor,
}


def _exists(path: str | Path) -> bool:
    try:
        return expanded(path).exists()
    except (OSError, ValueError):  # a name that no file can have, of which the command says more
        return True
