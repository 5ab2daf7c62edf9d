"""kill -9 at an arbitrary moment, the same command again: the weights of the uninterrupted run, bit for bit."""

import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from s2m2.cli import main
from s2m2.runs.directory import RunDirectory
from tests.integration.tiny import SCORED_BRIEFLY, command, flat_state, tiny_flags, without_report


@pytest.mark.usefixtures("one_thread")
def test_kill_and_start_again_ends_bit_for_bit_as_if_nothing_had_been(glyph_folder: Path, tmp_path: Path) -> None:
    whole, killed = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "killed")
    changes = {**SCORED_BRIEFLY, "pretrain__epochs": "6", "runtime__checkpoint_seconds": "0"}
    with without_report():
        assert main(["run", *tiny_flags(glyph_folder, whole.path, **changes)]) == 0
    arguments = command("run", *tiny_flags(glyph_folder, killed.path, **changes))
    for wanted in (killed.last("pretrain"), killed.last("finetune")):
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not wanted.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
        assert wanted.exists()
    finished = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    for stage in ("pretrain", "finetune"):
        expected, actual = (flat_state(run.last(stage)) for run in (whole, killed))
        assert expected.keys() == actual.keys()
        assert all(torch.equal(expected[name], actual[name]) for name in expected)
