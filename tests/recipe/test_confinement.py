"""What somebody else made writes nothing outside its run: neither its recipe nor its links."""

from dataclasses import replace
from pathlib import Path

import pytest

import s2m2
from s2m2.cli import main
from s2m2.errors import InputError
from s2m2.io import refuse_links
from s2m2.recipe import DataConfig, EvaluateConfig, ModelConfig, Recipe, RuntimeConfig, recipe_to_yaml
from tests.evaluation.random_run import random_run

QUICK = ["--evaluate.classifiers", "nearest_mean", "--evaluate.shots", "1", "--evaluate.details", "false"]


@pytest.fixture
def run(tmp_path: Path, glyph_folder: Path) -> Path:
    recipe = Recipe(
        data=DataConfig(path=str(glyph_folder), image_size=28, resize_ratio=1.15),
        model=ModelConfig(width=4),
        evaluate=EvaluateConfig(save_tasks=tmp_path / "elsewhere", tasks=3, queries=2, details=False),
        runtime=RuntimeConfig(accelerator="cpu"),
    )
    return random_run(tmp_path / "run", recipe, "pretrain", "finetune").path


def test_the_recipe_of_a_run_from_elsewhere_writes_below_it_only(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--run", str(run), *QUICK]) == 0
    assert "which only --evaluate.save_tasks may write to" in capsys.readouterr().err
    s2m2.evaluate_run(path=run, **{"evaluate.tasks": 4})
    assert not (tmp_path / "elsewhere").exists()
    assert main(["evaluate", "--run", str(run), "--evaluate.save_tasks", str(tmp_path / "mine"), *QUICK]) == 0
    assert list((tmp_path / "mine").iterdir())


def test_a_recipe_file_that_writes_elsewhere_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, recipe = tmp_path / "r.yaml", Recipe()
    file.write_text(recipe_to_yaml(replace(recipe, evaluate=replace(recipe.evaluate, save_tasks=tmp_path / "elsewhere"))))
    assert main(["run", str(file), "--run", str(tmp_path / "run")]) == 2
    assert "a recipe file writes below" in capsys.readouterr().err
    with pytest.raises(InputError, match="a recipe file writes below"):
        s2m2.run(file, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["results", "features", "metrics.jsonl", "checkpoints/pretrain/log"])
def test_a_link_out_of_a_run_is_not_followed(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / "home").mkdir()
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(tmp_path / "home")
    assert main(["evaluate", "--run", str(run), *QUICK]) == 2
    assert f"{name} is a link to {tmp_path / 'home'}; nothing is written through it" in capsys.readouterr().err
    assert not list((tmp_path / "home").iterdir())


def test_links_within_a_folder_and_to_it_are_followed(tmp_path: Path) -> None:
    (tmp_path / "run" / "a").mkdir(parents=True)
    (tmp_path / "run" / "b").symlink_to("a")
    (tmp_path / "link").symlink_to("run")
    refuse_links(tmp_path / "link", "--run")
    refuse_links(tmp_path / "none", "--run")
