"""`Finding`: one thing that an inspection says, and how bad it is."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["unusable", "finding", "note"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is wrong, or only worth knowing, and with which files or classes."""

    severity: Severity
    """unusable: nothing should be trained on this; finding: somebody must decide; note: good to know."""
    title: str
    """A sentence without its full stop."""
    items: tuple[str, ...] = ()
    """Files, classes or sets of equal pictures that are meant, all of them."""
    groups: tuple[tuple[int, ...], ...] = ()
    """Rows of the pictures behind each item, where it helps to see them."""


def count(number: int, one: str, many: str | None = None) -> str:
    """A number and its noun: `1 file`, `2,300 files`, `3 classes`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def verb(number: int, one: str = "is", many: str = "are") -> str:
    """The form of a verb that goes with a number."""
    return one if number == 1 else many
