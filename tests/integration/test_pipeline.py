"""The whole pipeline on a small dataset: all files are there, say what they should, and nothing is done twice."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from s2m2.cli import main
from s2m2.recipe import read_recipe
from s2m2.runs.directory import RunDirectory
from s2m2.runs.logging import read_metrics
from tests.integration.tiny import SCORED_BRIEFLY, flat_state, tiny_flags, without_report

pytestmark = pytest.mark.usefixtures("one_thread")
KEYS = {"dataset", "split", "classifier", "ways", "shots", "queries", "tasks", "seed", "mean", "interval", "per_task"}


@pytest.fixture(scope="module")
def finished(glyph_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished run of the tiny recipe."""
    run = RunDirectory(tmp_path_factory.mktemp("runs") / "tiny")
    assert main(["run", *tiny_flags(glyph_folder, run.path, evaluate__features="pixels pretrain finetune")]) == 0
    return run


def test_every_file_of_a_run_is_there(finished: RunDirectory) -> None:
    for stage in ("pretrain", "finetune"):
        assert finished.last(stage).is_file()
        assert finished.best(stage).is_file()
        assert finished.outcome(stage).is_file()
        assert list((finished.tensorboard / stage).glob("events*"))
    assert finished.provenance.is_file()
    assert finished.report.is_file()
    assert not [path for path in finished.path.rglob("*") if path.name.endswith(".partial")]


def test_results_state_what_was_measured_as_fractions(finished: RunDirectory) -> None:
    results = [json.loads(path.read_text()) for path in finished.results.glob("*.json")]
    assert len(results) == 3 * 2 * 2  # features, classifiers, shots
    for result in results:
        assert set(result) >= KEYS
        assert (result["split"], result["ways"], result["queries"], result["tasks"]) == ("novel", 5, 3, 30)
        assert len(result["per_task"]) == 30
        per_task = torch.tensor(result["per_task"], dtype=torch.float64)
        assert abs(result["mean"] - per_task.mean()) < 1e-12
        assert abs(result["interval"] - 1.96 * per_task.std() / 30**0.5) < 1e-12
        assert 0 <= result["mean"] <= 1


def test_fine_tuning_begins_with_the_best_of_pretraining_and_its_heads(finished: RunDirectory) -> None:
    before, after = load_file(finished.best("pretrain")), load_file(finished.best("finetune"))
    assert set(after) == set(before)
    heads = {"heads.classifier.direction", "heads.classifier.norm", "heads.rotation.weight", "heads.rotation.bias"}
    assert {name for name in before if not name.startswith("backbone.")} == heads
    scores = [(row["stage"], row["step"], row["score"]) for row in read_metrics(finished.metrics) if row["kind"] == "validation"]
    best = max(score for stage, _, score in scores if stage == "pretrain")
    assert ("finetune", 0, best) in scores


def test_a_finished_run_is_passed_over_and_scored_from_its_cache(
    finished: RunDirectory, glyph_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, features = (
        finished.best("finetune").stat().st_mtime_ns,
        {path: path.stat().st_mtime_ns for path in finished.features.iterdir()},
    )
    with without_report():
        assert main(["run", *tiny_flags(glyph_folder, finished.path, evaluate__features="pixels pretrain finetune")]) == 0
    printed = capsys.readouterr().out
    assert "pretrain: finished before, after 2 epochs" in printed
    assert "finetune: finished before" in printed
    assert finished.best("finetune").stat().st_mtime_ns == weights
    assert {path: path.stat().st_mtime_ns for path in finished.features.iterdir()} == features


def test_other_ways_and_shots_need_no_training_and_no_recipe(finished: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    call = [
        "evaluate",
        "--run",
        str(finished.path),
        "--evaluate.ways",
        "2",
        "10",
        "--evaluate.shots",
        "1",
        "3",
        "--evaluate.classifiers",
        "cosine",
        "--evaluate.details",
        "false",
    ]
    with without_report():
        assert main(call) == 0
    for kind in ("2way-1shot", "2way-3shot", "10way-1shot", "10way-3shot"):
        assert list(finished.results.glob(f"novel-finetune-cosine-{kind}-*.json"))
    assert re.search(r"10-way 3-shot .*\n│ cosine ", capsys.readouterr().out)
    assert read_recipe(finished.recipe).evaluate.ways == (5,)


def test_the_same_recipe_gives_the_same_scores(finished: RunDirectory, glyph_folder: Path, tmp_path: Path) -> None:
    with without_report():
        assert main(["run", *tiny_flags(glyph_folder, tmp_path / "again", evaluate__classifiers="cosine", evaluate__shots="5")]) == 0
    name = "novel-finetune-cosine-5way-5shot-*.json"
    (first,), (second,) = (
        [json.loads(path.read_text()) for path in (folder / "results").glob(name)] for folder in (finished.path, tmp_path / "again")
    )
    assert first["per_task"] == second["per_task"]
    assert first["fingerprint"] == second["fingerprint"]


def test_one_stage_at_a_time_is_the_same_as_run(finished: RunDirectory, glyph_folder: Path, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "staged")
    assert main(["pretrain", *tiny_flags(glyph_folder, run.path, **SCORED_BRIEFLY)]) == 0
    assert run.report.is_file()
    with without_report():
        assert main(["finetune", "--run", str(run.path)]) == 0
        assert main(["evaluate", "--run", str(run.path)]) == 0
    first, second = (flat_state(folder.last("finetune")) for folder in (finished, run))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_mixed_precision_trains_both_stages_on_a_cpu(glyph_folder: Path, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    brief = {"pretrain__epochs": "1", "finetune__epochs": "1", **SCORED_BRIEFLY}
    flags = tiny_flags(glyph_folder, run.path, runtime__precision="bf16-mixed", **brief)
    with without_report():
        assert main(["run", *flags]) == 0
    assert {value.dtype for name, value in flat_state(run.last("finetune")).items() if name.endswith("weight")} == {torch.float32}


@pytest.mark.parametrize(("objective", "rotations"), [("supervised", "one"), ("exemplar", "one"), ("rotation", "all")])
def test_every_objective_runs_through_all_stages(glyph_folder: Path, tmp_path: Path, objective: str, rotations: str) -> None:
    flags = tiny_flags(
        glyph_folder, tmp_path / "run", pretrain__objective=objective, pretrain__rotations=rotations, pretrain__epochs="1",
        finetune__epochs="1", **SCORED_BRIEFLY,
    )  # fmt: skip
    assert main(["run", *flags]) == 0
