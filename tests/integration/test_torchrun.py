"""Two processes with half the batch each arrive where one process arrives with the whole."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from s2m2.cli import main
from s2m2.runs.directory import RunDirectory
from s2m2.runs.metrics import read_metrics
from tests.integration.tiny import SCORED_BRIEFLY, flat_state, tiny_flags

# Plain gradient descent at a low rate, as Adam's division by small gradients would magnify rounding.
SETTINGS = {
    "pretrain__optimizer__name": "sgd",
    "pretrain__optimizer__learning_rate": "0.01",
    "finetune__optimizer__learning_rate": "0.01",
    "pretrain__epochs": "1",
    "finetune__epochs": "1",
    **SCORED_BRIEFLY,
}


# Exemplar takes the hardest copy and stranger; where two are all but equally hard, rounding decides and paths part: one step is compared,
# of the whole epoch, whose batch statistics are sums of 800,000 numbers and so have a digit less.
@pytest.mark.parametrize(
    ("command", "objective", "batch_size", "tolerance"),
    [("run", "rotation", "32", 1e-5), ("pretrain", "exemplar", "256", 3e-4)],
    ids=["rotation", "exemplar"],
)
@pytest.mark.usefixtures("one_thread")
def test_two_processes_agree_with_one_at_the_same_whole_batch(
    glyph_folder: Path, tmp_path: Path, command: str, objective: str, batch_size: str, tolerance: float
) -> None:
    one, two = RunDirectory(tmp_path / "one"), RunDirectory(tmp_path / "two")
    settings = {**SETTINGS, "pretrain__objective": objective, "pretrain__batch_size": batch_size}
    assert main([command, *tiny_flags(glyph_folder, one.path, **settings)]) == 0
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "s2m2"]
    flags = tiny_flags(glyph_folder, two.path, **settings, runtime__devices="2")
    shared = subprocess.run([*launch, command, *flags], capture_output=True, text=True, timeout=180, check=False)
    assert shared.returncode == 0, shared.stderr[-2000:]
    for stage in ("pretrain", "finetune") if command == "run" else ("pretrain",):
        ours, theirs = (flat_state(run.last(stage)) for run in (one, two))
        assert ours.keys() == theirs.keys()
        for name in ours:
            torch.testing.assert_close(
                ours[name], theirs[name], rtol=10 * tolerance, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
            )
    losses = [[row["loss"] for row in read_metrics(run.metrics) if row["kind"] == "train"] for run in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
