# shim
from collections.abc import Collection, Sequence

from s2m2.cli import parsing
from s2m2.cli.parsing import UsageError as UsageError
from s2m2.cli.parsing import list_flags as list_flags


def sort_arguments(arguments: Sequence[str], lists: Collection[str]) -> tuple[list[str], list[str]]:
    """The former signature."""
    return parsing.sort_arguments(arguments, {word.partition("=")[0] for word in arguments}, lists)
