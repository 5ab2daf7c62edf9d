"""Words that several places print."""

import re

import pytest

from s2m2.console import duration, encodable, progress_bar


@pytest.mark.parametrize(("seconds", "words"), [(8.44, "8.4 s"), (185.2, "3 min 05 s"), (7620.0, "2 h 07 min"), (59.96, "1 min 00 s")])
def test_durations_are_told_as_a_person_would(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_pipe_gets_a_line_of_progress_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2m2.console.LINE_SECONDS", 0.0)
    with progress_bar("naming", None, "images", done=100, lines=True) as advance:
        advance(64)
    assert re.fullmatch(r"naming: 164 images, [\d,]+ images/s\n", capsys.readouterr().out)
    with progress_bar("naming", None, "images") as advance:
        advance(64)
    assert capsys.readouterr().out == ""


def test_control_characters_are_escaped_and_line_breaks_stay() -> None:
    assert encodable("a\x1b[31mb\x9bc\td\ne") == "a\\x1b[31mb\\x9bc\\x09d\ne"
