"""A whole run directory that version 0.1.0 wrote, with stage 1 trained on `glyph_folder` and scored, is read and continued."""

import json
import shutil
from pathlib import Path

import pytest

from s2m2.cli import main
from s2m2.data.dataset import ImageDataset, open_dataset
from s2m2.evaluation.results import read_results
from s2m2.runs.checkpoint import load_outcome
from s2m2.runs.directory import RunDirectory
from s2m2.runs.loading import load
from s2m2.runs.trained_images import trained_digest
from tests.integration.tiny import without_report
from tests.runs.test_trained_images import NAMES, SPLITS, dataset_of

OLD_RUN = Path(__file__).with_name("run_0_1")


@pytest.fixture
def old_run(tmp_path: Path) -> RunDirectory:
    shutil.copytree(OLD_RUN, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def test_its_weights_and_scores_are_read(old_run: RunDirectory) -> None:
    backbone = load(old_run.path)
    assert (backbone.stage, backbone.image_size, backbone.feature_dim) == ("pretrain", 28, 4)
    (result,) = read_results(old_run)
    assert (result.features, result.classifier, result.tasks) == ("pretrain", "nearest_mean", 30)


def test_it_is_evaluated_again_with_the_same_result(old_run: RunDirectory, glyph_folder: Path) -> None:
    (before,) = read_results(old_run)
    with without_report():
        assert main(["evaluate", "--run", str(old_run.path), "--data.path", str(glyph_folder)]) == 0
    after = max(read_results(old_run), key=lambda result: result.created)
    assert after.created > before.created
    assert after.data_digest == before.data_digest
    assert after.mean == pytest.approx(before.mean, abs=0.05)  # on another processor a query in ninety may fall otherwise


def test_it_goes_on_with_stage_2_and_keeps_its_images_from_then_on(
    old_run: RunDirectory, glyph_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with without_report():
        assert main(["run", "--run", str(old_run.path), "--data.path", str(glyph_folder), "--runtime.accelerator", "cpu"]) == 0
    assert "pretrain: finished before, after 2 epochs" in capsys.readouterr().out
    outcome = load_outcome(old_run.outcome("finetune"))
    assert outcome is not None
    assert outcome.weights
    assert json.loads(old_run.trained_images.read_text())["base"]["digest"] == open_dataset(glyph_folder).digest


def test_its_digest_counts(old_run: RunDirectory, small_glyphs: ImageDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained_digest(old_run) == small_glyphs.digest
    dataset_of(tmp_path / "other", NAMES, SPLITS)
    assert main(["run", "--run", str(old_run.path), "--data.path", str(tmp_path / "other")]) == 2
    assert "the run does not say what they were" in capsys.readouterr().err
