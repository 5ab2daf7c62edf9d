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
    """Files, classes or sets of equal images that are meant, all of them."""
    groups: tuple[tuple[int, ...], ...] = ()
    """Rows of the images behind each item, where it helps to see them."""
