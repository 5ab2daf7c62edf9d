"""Range checks of settings, each an `InputError` that names the flag."""

from collections.abc import Iterable

from s2m2.errors import InputError


def check(condition: bool, flag: str, value: object, need: str) -> None:
    """Raise `InputError` naming the flag unless the condition holds."""
    if not condition:
        raise InputError(f"--{flag} is {value}, but must be {need}")


def check_counts(flag: str, values: Iterable[int], least: int = 1) -> None:
    """Check a setting that lists counts: not empty, each at least `least`, none twice."""
    listed = list(values)
    need = f"one or more different whole numbers of {least} or more"
    check(bool(listed) and min(listed) >= least and len(set(listed)) == len(listed), flag, listed, need)
