"""Labels from their texts. Those of classes may be anything; only new ones are cleaned."""

import unicodedata
from collections.abc import Iterable, Sequence

from s2m2.errors import InputError
from s2m2.recognition.support import Label

MAX_LABEL = 100
"""Characters of a new label."""
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that turn the direction of the text after them."""


def label_of(classes: Sequence[Label], text: str) -> Label:
    """A label from its text: that of a class, else a new one.

    Raises:
        InputError: a new one is of no use, or the classes are whole numbers and it is none.
    """
    if (known := _among(classes, text)) is not None:
        return known
    new = clean_label(text)
    if all(isinstance(label, int) for label in classes):
        try:
            return int(new)
        except ValueError as error:
            raise InputError(f"the classes of this model are whole numbers, but {new} is none") from error
    return new


def known_label(classes: Iterable[Label], text: str) -> Label:
    """The label of a class from its text; what is no class is refused by the change itself."""
    known = _among(classes, text)
    return text if known is None else known


def _among(classes: Iterable[Label], text: str) -> Label | None:
    """The class with a text: the very same, else the same in Unicode's composed form, in which file systems and keyboards differ, else
    the same but for spaces.
    """
    texts = {str(label): label for label in classes}
    for form in (str, _composed, _one_line):
        sought = form(text)
        if (found := next((label for written, label in texts.items() if form(written) == sought), None)) is not None:
            return found
    return None


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _one_line(text: str) -> str:
    return " ".join(_composed(text).split())


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
