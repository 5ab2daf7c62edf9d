"""`s2m2 prepare` stopped by Ctrl-C or a signal, and the same command afterwards."""

import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2m2.cli import main
from s2m2.data import partial, pool
from s2m2.data.dataset import open_dataset
from tests.data.command_line import complaint
from tests.data.images import write_images


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_images(tmp_path / "source", dict.fromkeys("abcde", 2))
    return tmp_path


def test_ctrl_c(root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    call = ["prepare", str(root / "source"), "--output", str(root / "dataset")]
    decode, seen = pool.decode_image, []

    def decode_five(*given: Any) -> np.ndarray:
        if len(seen) == 5:
            raise KeyboardInterrupt
        seen.append(given)
        return decode(*given)

    monkeypatch.setattr(pool, "decode_image", decode_five)
    monkeypatch.setattr(pool, "PIECE", 1)
    said = complaint(call, capfd, code=130)
    assert "interrupted; the same command continues" in said
    assert not (root / "dataset").exists()
    monkeypatch.undo()
    assert main(call) == 0
    assert "continuing with 5 of 10 images" in capfd.readouterr().out
    assert main([*call[:-1], str(root / "at once")]) == 0
    assert open_dataset(root / "dataset").digest == open_dataset(root / "at once").digest
    assert sorted(path.name for path in root.iterdir()) == ["at once", "source", "dataset"]


# A job that a shell started in the background ignores SIGINT, and so do its children unless they say otherwise.
SLOW = """
    import signal, sys, time
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from s2m2.cli import main
    from s2m2.data import pool, writing
    decode = pool.decode_image
    def slowly(*given):
        time.sleep(0.05)
        return decode(*given)
    pool.decode_image, pool.PIECE, writing.NOTE_SECONDS = slowly, 1, 0.0
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal(root: Path, capfd: pytest.CaptureFixture[str], stop: signal.Signals) -> None:
    write_images(root / "more", dict.fromkeys("abcde", 20))
    call = ["prepare", str(root / "more"), "--output", str(root / "dataset")]
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(SLOW), *call], stderr=subprocess.PIPE, text=True)
    note = root / ".dataset.partial" / partial.PROGRESS_FILE
    while process.poll() is None and not (note.exists() and json.loads(note.read_text())["images"] >= 3):
        time.sleep(0.01)
    process.send_signal(stop)
    _, said = process.communicate()
    assert process.returncode == (130 if stop == signal.SIGINT else -stop)
    assert len(said.splitlines()) == (1 if stop == signal.SIGINT else 0)
    assert not (root / "dataset").exists()
    assert main(call) == 0
    assert " of 100 images, which were decoded before" in capfd.readouterr().out
    assert main([*call[:-1], str(root / "at once")]) == 0
    assert open_dataset(root / "dataset").digest == open_dataset(root / "at once").digest
    assert sorted(path.name for path in root.iterdir()) == ["at once", "more", "source", "dataset"]
