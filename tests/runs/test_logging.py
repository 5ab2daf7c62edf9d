"""The metric log: whole lines, and no step twice after a kill."""

from pathlib import Path

from s2m2.runs.directory import RunDirectory
from s2m2.runs.logging import MetricLog, read_metrics


def write(run: RunDirectory, stage: str, resumed_at: int, steps: list[int]) -> None:
    with MetricLog(run, stage, resumed_at) as log:
        for step in steps:
            log.write("train", step, step / 10, loss=1.0)


def test_steps_after_the_checkpoint_are_taken_out_when_a_run_continues(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    write(run, "pretrain", 0, [5, 10])
    write(run, "finetune", 0, [5, 10, 15])
    write(run, "finetune", 10, [15, 20])
    assert [(row["stage"], row["step"]) for row in read_metrics(run.metrics)] == [
        ("pretrain", 5), ("pretrain", 10), ("finetune", 5), ("finetune", 10), ("finetune", 15), ("finetune", 20)
    ]  # fmt: skip


def test_a_stage_that_begins_anew_begins_with_no_rows(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    write(run, "finetune", 0, [0, 5])
    write(run, "finetune", 0, [0])
    assert [row["step"] for row in read_metrics(run.metrics)] == [0]


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    write(run, "pretrain", 0, [5])
    with run.metrics.open("a") as file:
        file.write('{"stage": "pretr')
    assert len(read_metrics(run.metrics)) == 1


def test_tensorboard_events_are_written_beside(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    write(run, "pretrain", 0, [5])
    assert list((run.tensorboard / "pretrain").glob("events*"))


def test_a_process_that_does_not_write_leaves_nothing(tmp_path: Path) -> None:
    with MetricLog(RunDirectory(tmp_path), "pretrain", 0, writes=False) as log:
        log.write("train", 1, 0.1, loss=1.0)
    assert not list(tmp_path.iterdir())
