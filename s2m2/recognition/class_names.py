"""Labels of classes: which are the same, and what a new one may be."""

import unicodedata
from collections.abc import Iterable, Sequence

from s2m2.arguments import described
from s2m2.errors import InputError

Label = str | int
MAX_LABEL = 100
"""Characters of a new label that is typed."""
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that turn the direction of the text after them."""


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _one_line(text: str) -> str:
    return " ".join(_composed(text).split())


class KnownLabels:
    """The classes of a model, found by their text: the very same, else the same in Unicode's composed form, in which file systems and
    keyboards differ, else the same but for spaces. `3` and `"3"` are one class.
    """

    def __init__(self, labels: Iterable[Label]) -> None:
        every = list(labels)
        # Of labels with the same form the first counts, hence the reverse.
        self._by_form = [(form, {form(str(label)): label for label in reversed(every)}) for form in (str, _composed, _one_line)]

    def find(self, text: str) -> Label | None:
        """The class with a text; None: there is none."""
        return next((known for form, labels in self._by_form if (known := labels.get(form(text))) is not None), None)


def matched_labels(labels: Iterable[Label], known: Sequence[Label] = ()) -> tuple[Label, ...]:
    """Labels for a model, in the form in which it has them; see `KnownLabels`.

    Args:
        known: the model's classes.

    Raises:
        InputError: a label is a number of more than 64 bits; or it is text and the classes are numbers, or the other way round.
    """
    given = list(labels)
    for label in given:
        if isinstance(label, int) and not -(2**63) <= label < 2**63:
            raise InputError(f"the label {described(label)} has more than 64 bits; write it as text")
    own, has = KnownLabels(known), set(known)
    kinds = {type(label) for label in known}
    matched = []
    for label in given:
        same = label if label in has else own.find(str(label))
        if same is None and len(kinds) == 1 and type(label) not in kinds:
            one, other = ("text", "whole numbers") if isinstance(label, str) else ("a whole number", "text")
            raise InputError(f"the label {described(label)} is {one}, but the classes of the model are {other}; use one kind")
        matched.append(label if same is None else same)
    return tuple(matched)


def typed_label(classes: Sequence[Label], text: str) -> Label:
    """A label that somebody typed: that of a class, else a new one, cleaned.

    Raises:
        InputError: a new one is of no use, or the classes are whole numbers and it is none.
    """
    if (known := KnownLabels(classes).find(text)) is not None:
        return known
    new = clean_label(text)
    if all(isinstance(label, int) for label in classes):
        try:
            return int(new)
        except ValueError as error:
            raise InputError(f"the classes of this model are whole numbers, but {new} is none") from error
    return new


def clean_label(text: str) -> str:
    """A new label as it is kept: one line of text in Unicode's composed form.

    Raises:
        InputError: it is empty, too long, or has characters that cannot be seen.
    """
    label = _one_line(text)
    if not label:
        raise InputError("the label is empty")
    if len(label) > MAX_LABEL:
        raise InputError(f"the label has {len(label)} characters, but may have {MAX_LABEL}")
    if any(unicodedata.category(character) in ("Cc", "Cs") or character in TURNING for character in label):
        raise InputError("the label has characters that cannot be seen")
    return label


def sort_labels(labels: Iterable[Label]) -> list[Label]:
    """Whole numbers by value, everything else as text."""
    every = list(labels)
    return sorted(every) if all(isinstance(label, int) for label in every) else sorted(every, key=str)
