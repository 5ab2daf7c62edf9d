"""The table of rows: the command of a row, and its cells before, during and after training."""

from pathlib import Path

import pytest

from benchmarks.reproduce_table import ROWS, Row, main, table
from s2m2.evaluation.results import TaskResults, save_results
from s2m2.reports.published import S2M2
from s2m2.runs.provenance import record

ROW = Row(dataset="cub", recipe="fast", name="rotation", seed=3)


def save_result(runs: Path, *, features: str, accuracy: float, **changes: object) -> None:
    """One result of the row's run."""
    facts: dict[str, object] = {"classifier": "cosine", "shots": 1, "split": "novel", "ways": 5, **changes}
    result = TaskResults(
        dataset="cub", features=features, queries=15, tasks=2, seed=0, per_task=(accuracy - 0.1, accuracy + 0.1),
        fingerprint="0", data_digest="0", **facts,  # type: ignore[arg-type]
    )  # fmt: skip
    folder = ROW.directory(runs).results
    folder.mkdir(parents=True, exist_ok=True)
    save_results(folder, result)


def test_a_row_is_its_recipe_with_an_overlay_in_a_directory_of_its_own(tmp_path: Path) -> None:
    command = ROW.command(tmp_path, ["--runtime.devices", "8"])
    words = [part for part in command if part.endswith(".yaml")]
    assert [Path(word).parts[-3:] for word in words] == [("configs", "cub", "fast.yaml"), ("configs", "ablations", "rotation.yaml")]
    assert all(Path(word).is_file() for word in words)
    assert command[-6:] == ["--run", str(tmp_path / "cub-fast-rotation-seed3"), "--seed", "3", "--runtime.devices", "8"]


@pytest.mark.parametrize("name", ROWS)
def test_every_row_has_its_overlay(name: str, tmp_path: Path) -> None:
    command = Row(dataset="cifar_fs", recipe="paper", name=name, seed=0).command(tmp_path, ())
    assert all(Path(word).is_file() for word in command if word.endswith(".yaml"))


def test_an_untrained_row_has_only_the_published_numbers(tmp_path: Path) -> None:
    line = table([ROW], tmp_path).splitlines()[2]
    assert line == "| cub | rotation | fast.yaml, seed 3 |  | 77.61 |  |  | 89.32 |  |  |  | not yet |"


def test_a_small_network_is_compared_with_the_papers_small_network(tmp_path: Path) -> None:
    line = table([Row(dataset="cifar_fs", recipe="short", name="s2m2_r", seed=0)], tmp_path).splitlines()[2]
    assert "63.66 ± 0.17" in line
    assert "76.07 ± 0.19" in line


def test_a_row_in_training_is_not_yet_measured(tmp_path: Path) -> None:
    save_result(tmp_path, features="pretrain", accuracy=0.8)
    record(ROW.directory(tmp_path), pretrain={"seconds": 60.0})
    assert "not yet" in table([ROW], tmp_path)


def test_a_trained_row_states_the_last_stage_the_difference_and_the_hours(tmp_path: Path) -> None:
    save_result(tmp_path, features="pretrain", accuracy=0.7)
    save_result(tmp_path, features="finetune", accuracy=0.8)
    save_result(tmp_path, features="finetune", accuracy=0.5, classifier="nearest_mean")
    save_result(tmp_path, features="finetune", accuracy=0.9, split="validation")
    save_result(tmp_path, features="finetune", accuracy=0.6, shots=5)
    hardware = {"hardware": "a large GPU"}
    stages = {"pretrain": {"seconds": 3600.0, **hardware}, "finetune": {"seconds": 1800.0, **hardware}}
    record(ROW.directory(tmp_path), **stages, evaluate={"seconds": 0.0, "hardware": "this processor"})
    cells = [cell.strip() for cell in table([ROW], tmp_path).splitlines()[2].split("|")[1:-1]]
    assert cells[3:9] == ["80.00 ± 19.60", "77.61", "+2.39", "60.00 ± 19.60", "89.32", "-29.32"]
    assert cells[9:11] == ["1.50", "a large GPU"]


def test_settings_of_all_runs_stand_below_the_table(tmp_path: Path) -> None:
    assert "All recipes with `--model.width 4`." in table([ROW], tmp_path, ["--model.width", "4"])


def test_the_table_alone_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--datasets", "fc100", "tiered_imagenet", "--runs", str(tmp_path / "runs"), "--no-training"]) == 0
    assert capsys.readouterr().out.count("not yet") == 2
    assert not (tmp_path / "runs").exists()


def test_an_unknown_recipe_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--recipes", "slow"])
    assert stop.value.code == 2
    assert "there is no configs/cifar_fs/slow.yaml" in capsys.readouterr().err


def test_published_rows_are_accuracies_that_rise_with_shots() -> None:
    for rows in S2M2.values():
        for row in rows.values():
            assert 50 < row.one_shot[0] < row.five_shot[0] < 100
