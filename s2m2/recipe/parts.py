"""Names of backbones and few-shot classifiers: built in, from other packages, or one's own."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.metadata import entry_points

from s2m2.errors import InputError


def check_part(flag: str, name: str, built_in: Sequence[str], group: str) -> None:
    """Raise `InputError` unless a name is built in, `module:object`, or an entry point of the group. Imports nothing of it."""
    if name in built_in or re.fullmatch(r"[\w.]+:[\w.]+", name):
        return
    names = [*built_in, *sorted(entry_points(group=group).names)]
    if name not in names:
        need = did_you_mean(name, names) or f", but must be one of {', '.join(names)}, or module:object"
        raise InputError(f"--{flag} is {name}{need}")


def did_you_mean(word: str, words: Sequence[str], prefix: str = "") -> str:
    """`; did you mean ...?` with the closest of some words, or nothing where none is close."""
    close = get_close_matches(word, words, n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else ""
