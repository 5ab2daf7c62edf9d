"""A few attacks of every kind in each run of the tests; benchmarks/reports has what hundreds and thousands of them gave."""

import subprocess
import sys
from pathlib import Path


def test_kills_flipped_bits_full_disks_and_bad_inputs_lose_nothing_and_show_no_traceback() -> None:
    attacks = ["--kills", "20", "--flips", "14", "--fills", "5", "--inputs", "40"]
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", *attacks],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr[-10000:]
    assert "40 bad inputs" in ended.stdout
    assert "0 defects, " in ended.stdout
