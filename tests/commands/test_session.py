"""Opening a session: checks first, then the directory and the moment that the run started."""

from dataclasses import replace
from pathlib import Path

import pytest

from s2m2.commands.session import open_session
from s2m2.data.dataset import ImageDataset
from s2m2.errors import InputError
from s2m2.recipe import DataConfig, Recipe, RuntimeConfig
from s2m2.runs.directory import RunDirectory
from s2m2.runs.provenance import read_provenance


def recipe_of(dataset: Path) -> Recipe:
    return replace(Recipe(), data=DataConfig(path=str(dataset)), runtime=RuntimeConfig(accelerator="cpu"))


def test_the_start_of_a_run_is_recorded_before_any_stage_and_kept_afterwards(glyph_folder: Path, tmp_path: Path) -> None:
    session = open_session(recipe_of(glyph_folder), tmp_path / "run")
    started = read_provenance(session.run)["started"]
    again = open_session(recipe_of(glyph_folder), tmp_path / "run")
    assert read_provenance(again.run)["started"] == started


def test_a_check_that_fails_leaves_no_trace(glyph_folder: Path, tmp_path: Path) -> None:
    def refuse(recipe: Recipe, dataset: ImageDataset, run: RunDirectory) -> None:
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        open_session(recipe_of(glyph_folder), tmp_path / "run", refuse)
    assert not (tmp_path / "run").exists()
