"""A run is trained by one process at a time, and by the next one when that is gone."""

import subprocess
import sys
from pathlib import Path

import pytest

from s2m2.cli import main
from s2m2.runs.directory import RunDirectory, training_lock
from tests.integration.tiny import tiny_flags

HOLD = """
import sys
from pathlib import Path
from s2m2.runs.directory import RunDirectory
from s2m2.runs.directory import training_lock
with training_lock(RunDirectory(Path(sys.argv[1]))) as held:
    print(held, flush=True)
    sys.stdin.read()
"""


def test_a_second_training_is_refused_in_one_line_until_the_first_is_killed(
    glyph_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        flags = tiny_flags(glyph_folder, run.path, pretrain__epochs="1")
        assert main(["pretrain", *flags]) == 2
        output = capsys.readouterr()
        assert output.err == f"s2m2 pretrain: --run {run.path} is being trained by another process\n"
        assert output.out.startswith("pretrain: no use for --finetune.epochs, ")  # flags of other stages, and nothing else
        assert output.out.count("\n") == 1
        assert list(run.path.iterdir()) == [run.training_lock]  # the refused call leaves no trace
    finally:
        holder.kill()
        holder.communicate()
    assert main(["pretrain", *flags]) == 0
    assert not run.training_lock.exists()


def test_the_lock_is_free_again_at_the_end(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    with training_lock(run) as held, training_lock(run) as again:
        assert (held, again) == (True, False)
    assert not list(tmp_path.iterdir())
    with training_lock(run) as held:
        assert held
