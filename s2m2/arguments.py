"""Arguments of a call put in order, so that a recipe may stand anywhere and a list be written with spaces."""

import argparse
from collections.abc import Collection, Sequence

from s2m2.errors import InputError

SWITCHES = ("-h", "--help", "--print_config")
"""Flags without a value."""


RECIPE_ENDINGS = (".yaml", ".yml")
"""What ends a list of values, so that a recipe may follow it."""


class UsageError(InputError):
    """A call that does not have the form of the command."""


def list_flags(parser: argparse.ArgumentParser) -> set[str]:
    """Flags of a parser that take several values, `--evaluate.ways 5 10 20`."""
    found: set[str] = set()
    for action in parser._actions:
        if "tuple" in str(getattr(action, "_typehint", "")):
            found.update(action.option_strings)
    return found


def sort_arguments(arguments: Sequence[str], lists: Collection[str]) -> tuple[list[str], list[str]]:
    """Positional arguments, and the others as `--flag value` with the values of a list joined to `[a, b]`.

    Raises:
        UsageError: a flag without its value.
    """
    positional: list[str] = []
    flags: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if not argument.startswith("-"):
            positional.append(argument)
            continue
        flag, equals, value = argument.partition("=")
        flags.append(flag if not flag.startswith(SWITCHES) else argument)
        if flag in SWITCHES or flag.startswith("--print_config"):
            continue
        if equals:
            flags.append(value)
            continue
        values = _take_values(waiting, several=flag in lists)
        if not values:
            raise UsageError(f"{flag} needs a value")
        flags.append(values[0] if flag not in lists or values[0].startswith("[") or values == ["null"] else f"[{', '.join(values)}]")
    return positional, flags


def _take_values(waiting: list[str], *, several: bool) -> list[str]:
    values: list[str] = []
    while waiting and (not waiting[0].startswith("-") or _is_number(waiting[0])):
        if values and waiting[0].endswith(RECIPE_ENDINGS):
            break
        values.append(waiting.pop(0))
        if not several:
            break
    return values


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
