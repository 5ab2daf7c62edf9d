"""Words that several places print."""

import pytest

from s2m2.console import duration


@pytest.mark.parametrize(("seconds", "words"), [(8.44, "8.4 s"), (185.2, "3 min 05 s"), (7620.0, "2 h 07 min"), (59.96, "1 min 00 s")])
def test_durations_are_told_as_a_person_would(seconds: float, words: str) -> None:
    assert duration(seconds) == words
