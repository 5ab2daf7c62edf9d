"""The one kind of error that a user can cause and mend."""


class InputError(ValueError):
    """Something that the user gave cannot be used: a flag, a file, a class, a device.

    The message is one line that names the culprit and, where possible, the mend. The command line prints it without a
    traceback and exits with code 2; every other exception is a defect of this package and shows its traceback.
    """
