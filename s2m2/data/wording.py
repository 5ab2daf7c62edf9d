"""Numbers and names in messages."""

from collections.abc import Sequence

NAMED_AT_MOST = 5
"""Names that a message lists before it counts the rest."""


def first_named(names: Sequence[str], separator: str = ", ") -> str:
    """The first names and the number of the rest: `a, b, c, d, e and 7 more`."""
    rest = len(names) - NAMED_AT_MOST
    more = f"{' ' if separator == ', ' else separator}and {rest:,} more" if rest > 0 else ""
    return separator.join(names[:NAMED_AT_MOST]) + more


def count(number: int, one: str, many: str | None = None) -> str:
    """A number and its noun: `1 file`, `2,300 files`, `3 classes`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def verb(number: int, one: str = "is", many: str = "are") -> str:
    """The form of a verb that goes with a number."""
    return one if number == 1 else many
