"""The one kind of error that a user causes and can fix, and torch's signs of a full device."""


class InputError(ValueError):
    """An unusable input: a flag, an argument, a file, a class, a device.

    The message is one line that names the cause and, where possible, the fix. The command line prints it without a traceback and exits
    with code 2; every other exception is a defect of this package and shows its traceback.
    """


def is_out_of_memory(error: Exception) -> bool:
    """Whether torch, or a library behind it, reports a full device."""
    return type(error).__name__ == "OutOfMemoryError" or any(words in str(error) for words in ("out of memory", "STATUS_ALLOC_FAILED"))
