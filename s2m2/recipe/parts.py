"""Names of backbones and few-shot classifiers: built in, from other packages, or one's own."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Literal, get_args

from s2m2.errors import InputError
from s2m2.recipe.classifiers import ClassifierName

BackboneName = Literal["conv4", "resnet12", "resnet18", "wrn28_10", "timm"]
"""Built-in backbones."""
CLASSIFIER_NAMES = get_args(ClassifierName)
"""Built-in few-shot classifiers."""


def check_backbone(flag: str, name: str) -> None:
    """Raise `InputError` unless there can be such a backbone; entry points are of group `s2m2.backbones`."""
    check_part(flag, name, get_args(BackboneName), "s2m2.backbones")


def check_classifier(flag: str, name: str) -> None:
    """Raise `InputError` unless there can be such a few-shot classifier; entry points are of group `s2m2.classifiers`."""
    check_part(flag, name, CLASSIFIER_NAMES, "s2m2.classifiers")


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
