"""Two or four processes with parts of the batch arrive where one arrives with the whole, and none outlives another."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from s2m2.cli import main
from s2m2.runs.directory import RunDirectory
from s2m2.runs.logging import read_metrics
from tests.integration.tiny import SCORED_BRIEFLY, command, flat_state, tiny_flags, without_report

# Plain gradient descent at a low rate, as Adam's division by small gradients would magnify rounding.
SETTINGS = {
    "pretrain__optimizer__name": "sgd",
    "pretrain__optimizer__learning_rate": "0.01",
    "finetune__optimizer__learning_rate": "0.01",
    "pretrain__epochs": "1",
    "finetune__epochs": "1",
    "pretrain__ema_decay": "0.9",
    "pretrain__bn_recalibration_images": "256",
    "runtime__precision": "32-true",  # in bfloat16, rounding would hide any difference
    **SCORED_BRIEFLY,
}


# Exemplar takes the hardest copy and stranger; where two are all but equally hard, rounding decides and paths part: one step is compared,
# of the whole epoch, whose batch statistics are sums of 800,000 numbers and so have a digit less.
@pytest.mark.parametrize(
    ("stage_command", "objective", "batch_size", "processes", "tolerance"),
    [("run", "rotation", "32", 2, 1e-5), ("pretrain", "exemplar", "256", 4, 3e-4)],
    ids=["rotation on two", "exemplar on four"],
)
@pytest.mark.usefixtures("one_thread")
def test_several_processes_agree_with_one_at_the_same_whole_batch(
    glyph_folder: Path, tmp_path: Path, stage_command: str, objective: str, batch_size: str, processes: int, tolerance: float
) -> None:
    one, several = RunDirectory(tmp_path / "one"), RunDirectory(tmp_path / "several")
    settings = {**SETTINGS, "pretrain__objective": objective, "pretrain__batch_size": batch_size}
    with without_report():
        assert main([stage_command, *tiny_flags(glyph_folder, one.path, **settings)]) == 0
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m", "s2m2"]
    flags = tiny_flags(glyph_folder, several.path, **settings, runtime__devices=str(processes))
    shared = subprocess.run([*launch, stage_command, *flags], capture_output=True, text=True, timeout=180, check=False)
    assert shared.returncode == 0, shared.stderr[-2000:]
    for stage in ("pretrain", "finetune") if stage_command == "run" else ("pretrain",):
        expected, actual = (flat_state(run.last(stage)) for run in (one, several))
        assert expected.keys() == actual.keys()
        for name in expected:
            torch.testing.assert_close(
                expected[name], actual[name], rtol=10 * tolerance, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
            )
    scores = [[row["score"] for row in read_metrics(run.metrics) if row["kind"] == "validation"] for run in (one, several)]
    assert scores[0] == pytest.approx(scores[1], abs=0.02)
    losses = [[row["loss"] for row in read_metrics(run.metrics) if row["kind"] == "train"] for run in (one, several)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_process_that_dies_ends_the_others_in_one_line_and_the_checkpoint_goes_on(glyph_folder: Path, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    flags = tiny_flags(glyph_folder, run.path, **SETTINGS, runtime__devices="2", runtime__checkpoint_seconds="0")
    some = [*flags, "--pretrain.epochs", "12"]
    with (tmp_path / "output").open("w") as output, subprocess.Popen(command("pretrain", *some), stderr=output, stdout=output) as first:
        try:
            until(run.last("pretrain").exists, first)
            (second,) = children(first.pid)
            os.kill(second, signal.SIGKILL)
            assert first.wait(timeout=60) == 1
        finally:
            first.kill()
    lines = [line for line in (tmp_path / "output").read_text().splitlines() if line.startswith(("s2m2", "Traceback"))]
    (line,) = lines
    assert line.startswith("s2m2 pretrain: another process of this run ended or cannot be reached; the same command continues")
    assert torch.load(run.last("pretrain"), weights_only=True)["progress"]["step"] < 12 * 8
    with without_report():
        assert main(["pretrain", *some, "--runtime.devices", "1"]) == 0
    assert torch.load(run.last("pretrain"), weights_only=True)["progress"]["step"] == 12 * 8  # 256 base images in batches of 32


def until(condition: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Wait for something that a process will bring about."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the process ended"
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


def children(parent: int) -> list[int]:
    """Process numbers of those that a process has started."""
    return [int(number) for number in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
