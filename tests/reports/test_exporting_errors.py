"""`s2m2 export` of what cannot be exported: one line that names the flag or the file, exit code 2, and nothing left."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from s2m2.cli import main
from s2m2.io import write_text
from s2m2.recipe import DataConfig, ModelConfig, Recipe
from s2m2.runs.directory import RunDirectory
from tests.evaluation.random_run import random_run


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run to spoil, with nothing beside it."""
    recipe = Recipe(data=DataConfig(path="/no/such/dataset", image_size=28, resize_ratio=1.15), model=ModelConfig(width=4))
    return random_run(tmp_path / "run", recipe, "pretrain", "finetune")


def spoil(name: str, value: float) -> Callable[[RunDirectory], None]:
    def change(run: RunDirectory) -> None:
        tensors = load_file(run.best("finetune"))
        key = next(key for key in tensors if key.startswith("backbone.") and key.endswith(name) and tensors[key].ndim > 1)
        tensors[key].view(-1)[0] = value
        save_file(tensors, run.best("finetune"))

    return change


def in_place_of(file: Path) -> None:
    """A folder where a file should be, which nobody can read."""
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("change", "flags", "says"),
    [
        (lambda run: run.recipe.unlink(), [], "--run {run} is no run directory: it has no recipe.yaml"),
        (lambda run: run.outcome("finetune").unlink(), ["--stage", "finetune"], "--stage is finetune, but --run {run} has not finished"),
        (lambda run: shutil.rmtree(run.path / "checkpoints"), [], "--run {run} has not finished any training stage"),
        (lambda run: run.best("finetune").write_bytes(b"short"), [], "--run {run}/checkpoints/finetune/best.safetensors does not hold"),
        (lambda run: run.outcome("finetune").write_text("{"), [], "outcome.json is damaged"),
        (lambda run: run.provenance.write_text("{"), [], "provenance.json is damaged"),
        (lambda run: write_text(run.results / "novel-finetune.json", "{"), [], "holds no results"),
        (lambda run: in_place_of(run.provenance), [], "{run}/provenance.json"),
        (lambda run: in_place_of(run.metrics), [], "{run}/metrics.jsonl"),
        (spoil("weight", 1e6), ["--precision", "float16"], "whose values reach 1e+06; float32 and bfloat16 can"),
        (spoil("weight", 3.4e38), ["--precision", "bfloat16"], "whose values reach 3.4e+38; float32 can"),
        (spoil("weight", float("nan")), [], "that are not finite"),
        (lambda run: run.path.with_name("out").mkdir(), [], "--output {out} is there already"),
        (
            lambda run: write_text(run.path.with_name("file"), ""),
            ["--output", "{file}/out"],
            "--output {file}/out cannot be written: Not a dir",
        ),
        (lambda run: None, ["--output", "{run}/out"], "--output {run}/out is inside --run {run}; name a folder beside it"),
        (lambda run: None, ["--license", " "], "--license is ' ', but must be words, or left out"),
        (lambda run: None, ["--stage", "training"], "--stage"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(
    run: RunDirectory, capsys: pytest.CaptureFixture[str], change: Callable[[RunDirectory], None], flags: list[str], says: str
) -> None:
    change(run)
    named = {"run": str(run.path), "out": str(run.path.with_name("out")), "file": str(run.path.with_name("file"))}
    before = sorted(run.path.parent.rglob("*"))
    assert main(["export", "--run", named["run"], "--output", named["out"], *(flag.format(**named) for flag in flags)]) == 2
    error = capsys.readouterr().err
    assert says.format(**named) in error
    assert error.startswith("s2m2 export: ")
    assert ("--output" in error) == ("--output" in says)
    assert error.count("\n") == 1
    assert sorted(run.path.parent.rglob("*")) == before


@pytest.mark.parametrize(("error", "code"), [(OSError(28, "No space left on device"), 2), (KeyboardInterrupt(), 130)])
def test_an_export_that_is_stopped_leaves_nothing(
    run: RunDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
) -> None:
    def stop(*_: object) -> str:
        raise error

    monkeypatch.setattr("s2m2.reports.exporting.model_card", stop)
    assert main(["export", "--run", str(run.path), "--output", str(run.path.with_name("new") / "out")]) == code
    assert list(run.path.parent.iterdir()) == [run.path]
    message = capsys.readouterr().err
    assert ("--output" in message and "No space left on device" in message) if code == 2 else "nothing was written" in message
