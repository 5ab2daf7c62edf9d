"""A run directory follows one recipe."""

from dataclasses import replace
from pathlib import Path

import pytest

from s2m2.errors import InputError
from s2m2.recipe import EvaluateConfig, PretrainConfig, Recipe, RuntimeConfig, read_recipe
from s2m2.runs.directory import open_run


def test_a_new_run_keeps_its_recipe_word_for_word(tmp_path: Path) -> None:
    recipe = Recipe(seed=7, pretrain=PretrainConfig(epochs=3), evaluate=EvaluateConfig(ways=(5, 10)))
    assert read_recipe(open_run(tmp_path / "run", recipe).recipe) == recipe


def test_another_recipe_is_refused_with_the_setting_that_differs(tmp_path: Path) -> None:
    open_run(tmp_path, Recipe())
    with pytest.raises(InputError, match=f"pretrain.epochs {Recipe().pretrain.epochs}, not 999"):
        open_run(tmp_path, Recipe(pretrain=PretrainConfig(epochs=999)))


def test_machine_and_evaluation_may_change(tmp_path: Path) -> None:
    open_run(tmp_path, Recipe())
    changed = replace(Recipe(), evaluate=EvaluateConfig(ways=(20,)), runtime=RuntimeConfig(compile=True))
    assert read_recipe(open_run(tmp_path, changed).recipe) == Recipe()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        open_run(tmp_path, Recipe())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_no_run_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        open_run(tmp_path / "file", Recipe())
