"""The one kind of error that a user causes and can fix, its suggestion of a name, what a file needs, and torch's signs of a full device."""

from collections.abc import Iterable
from difflib import get_close_matches

MAX_MEANT = 3
"""Names that a message suggests at most."""


class InputError(ValueError):
    """An unusable input: a flag, an argument, a file, a class, a device.

    The message is one line that names the cause and, where possible, the fix. The command line prints it without a traceback and exits
    with code 2; every other exception is a defect of this package and shows its traceback.
    """


def need(fits: bool, reason: str) -> None:
    """Raise `ValueError` unless a value of a file fits; whoever reads the file turns it into one line that names the file."""
    if not fits:
        raise ValueError(reason)


def did_you_mean(word: str, words: Iterable[str], prefix: str = "") -> str:
    """`; did you mean ...?` for the end of a message: the paths that end in a word, else the closest of all; empty where none is close."""
    choices = list(words)
    meant = [path for path in choices if path.endswith(f".{word.lstrip('-')}")] or get_close_matches(word, choices, n=1)
    return f"; did you mean {' or '.join(prefix + choice for choice in meant[:MAX_MEANT])}?" if meant else ""


NO_MEMORY = ("out of memory", "STATUS_ALLOC_FAILED", "DefaultCPUAllocator", "not enough memory", "Cannot allocate memory", "bad_alloc")
"""Words in errors of torch, and of libraries behind it, where memory is full: that of a device, or that of the machine."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, or a library behind it, reports a full memory."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or any(words in str(error) for words in NO_MEMORY)
