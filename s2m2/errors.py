"""The one kind of error that a user can cause and mend, and how torch says that a device is full."""


class InputError(ValueError):
    """Something that the user gave cannot be used: a flag, a file, a class, a device.

    The message is one line that names the culprit and, where possible, the mend. The command line prints it without a
    traceback and exits with code 2; every other exception is a defect of this package and shows its traceback.
    """


def is_out_of_memory(error: Exception) -> bool:
    """Whether torch says that a device is full, be it by an error of its own or by one of the libraries that it calls."""
    return type(error).__name__ == "OutOfMemoryError" or any(words in str(error) for words in ("out of memory", "STATUS_ALLOC_FAILED"))
