"""Words that several places print."""

import io
import re
import time

import pytest

from s2m2.cli import dispatch
from s2m2.console import Terminal, duration, encodable, progress_bar, progress_line, quiet, working


@pytest.mark.parametrize(("seconds", "words"), [(8.44, "8.4 s"), (185.2, "3 min 05 s"), (7620.0, "2 h 07 min"), (59.96, "1 min 00 s")])
def test_durations_are_told_as_a_person_would(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_pipe_gets_a_line_of_progress_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2m2.console.LINE_SECONDS", 0.1)
    with progress_bar("naming", None, "images", done=100) as advance:
        advance(64)
        time.sleep(0.35)  # without any progress
    lines = capsys.readouterr().out.splitlines()
    assert 1 <= len(lines) <= 3
    assert all(re.fullmatch(r"naming: 164 images, [\d,]+ images/s", line) for line in lines)
    with progress_line("pretrain", 10, "images") as line:
        line.tell("epoch 1", "loss 0.5")
        time.sleep(0.15)
    assert capsys.readouterr().out.startswith("epoch 1: 0 of 10 images, 0 images/s, loss 0.5\n")
    with quiet(), progress_bar("naming", None, "images"):
        time.sleep(0.15)
    assert capsys.readouterr().out == ""


def slow_command(*, seconds: float) -> int:
    time.sleep(seconds)
    return 0


def test_a_command_is_never_silent_for_long(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2m2.console.LINE_SECONDS", 0.1)
    assert dispatch._call("tests.test_console:slow_command", seconds=0.25) == 0
    assert "slow: at work for 0." in capsys.readouterr().out
    with working("reading birds"):
        time.sleep(0.15)
    assert re.match(r"reading birds\nreading birds: 0\.\d s\n", capsys.readouterr().out)


def test_control_characters_are_escaped_and_line_breaks_stay() -> None:
    assert encodable("a\x1b[31mb\x9bc\td\ne") == "a\\x1b[31mb\\x9bc\\x09d\ne"


def test_a_stream_that_lacks_a_character_gets_its_escape() -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="ascii", write_through=True)
    Terminal(file=stream, markup=False).print("64.93 ± 3.20")
    assert written.getvalue() == b"64.93 \\xb1 3.20\n"
