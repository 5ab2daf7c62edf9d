"""The metric log: whole lines, and no step twice after a kill."""

import os
from pathlib import Path

import pytest
import torch

from s2m2.errors import InputError
from s2m2.evaluation.results import load_results
from s2m2.io import read_json
from s2m2.runs.checkpoint import read_tensors
from s2m2.runs.directory import RunDirectory
from s2m2.runs.logging import MetricLog, read_metrics
from s2m2.tasks.saved_tasks import load_tasks


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


ROW = b'{"stage": "pretrain", "kind": "train", "step": 3, "epoch": 0.5, "loss": 1.5}'


@pytest.mark.parametrize(
    "damaged",
    [
        ROW[:20] + bytes([ROW[20] ^ 128]) + ROW[21:],
        b"[" * 100_000,
        ROW.replace(b"3", b'"3"'),
        ROW.replace(b"0.5", b"null"),
        ROW.replace(b'"train"', b"[]"),
        b"\xff\xfe",
    ],
    ids=["no text", "deep", "a step of text", "no epoch", "a kind of another type", "no text at all"],
)
def test_a_damaged_line_is_left_out_and_stops_no_run(tmp_path: Path, damaged: bytes) -> None:
    run = RunDirectory(tmp_path)
    run.metrics.write_bytes(ROW + b"\n" + damaged + b"\n" + ROW.replace(b"3", b"4") + b"\n")
    assert [row["step"] for row in read_metrics(run.metrics)] == [3, 4]
    with MetricLog(run, "pretrain", 4) as log:
        log.write("train", 5, 1.0, loss=1.0)
    assert [row["step"] for row in read_metrics(run.metrics)] == [3, 4, 5]


READERS = {"metrics": read_metrics, "results": load_results, "json": read_json, "tensors": read_tensors}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
@pytest.mark.parametrize("name", [*READERS, "tasks"])
def test_a_pipe_among_the_files_of_a_run_is_named_and_never_read(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    read = READERS.get(name, lambda path: load_tasks(path, torch.arange(3), torch.arange(3)))
    with pytest.raises(InputError, match="pipe is a pipe or a device"):
        read(tmp_path / "pipe")
