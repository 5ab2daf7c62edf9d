"""Arguments of Python callers: what is taken for a number, a switch, a name, a path or a device. All else is refused by its name."""

import sys
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m2.errors import InputError

if TYPE_CHECKING:
    import torch

MAX_SHOWN = 60
"""Characters of a wrong value that a message repeats."""


def whole_number(name: str, value: Any, least: int = 0, most: int | None = None) -> int:
    """A count or a seed: 5, 5.0, 1e4, or a NumPy or torch scalar that is whole.

    Raises:
        InputError: it is no whole number, or out of range.
    """
    need = f"{least} or more" if most is None else f"from {least} to {most}"
    number = _scalar(value)
    if number is None or not (isinstance(number, int) or number.is_integer()):
        raise InputError(f"{name} is {described(value)}, but must be a whole number, {need}")
    if number < least or (most is not None and number > most):
        raise InputError(f"{name} is {number}, but must be {need}")
    return int(number)


def real_number(name: str, value: Any, fits: Callable[[float], bool], need: str) -> float:
    """A finite number, of any type that has numbers.

    Args:
        fits: whether it is in range.
        need: the range in words.

    Raises:
        InputError: it is no number, or out of range.
    """
    number = _scalar(value)
    if number is None:
        raise InputError(f"{name} is {described(value)}, but must be a number, {need}")
    if not abs(number) <= sys.float_info.max or not fits(number):
        raise InputError(f"{name} is {number}, but must be {need}")
    return float(number)


def switch(name: str, value: Any) -> bool:
    """True or False, or 1 or 0 in their place.

    Raises:
        InputError: it is neither.
    """
    plain = value.item() if _is_scalar_array(value) else value
    if not isinstance(plain, int) or plain not in (0, 1):
        raise InputError(f"{name} is {described(value)}, but must be True or False")
    return bool(plain)


def choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """One of some names.

    Raises:
        InputError: it is none of them.
    """
    names = tuple(choices)
    if not isinstance(value, str) or value not in names:
        raise InputError(f"{name} is {described(value)}, but must be one of {', '.join(names)}")
    return value


def path_argument(name: str, value: Any) -> Path:
    """A path, with `~` for the user's folder.

    Raises:
        InputError: it is neither text nor a path.
    """
    if not isinstance(value, str | PathLike) or isinstance(value, bytes):
        raise InputError(f"{name} is {described(value)}, but must be a path")
    try:
        return Path(value).expanduser()
    except (RuntimeError, TypeError) as error:
        raise InputError(f"{name} is {described(value)}, which is no path here: {error}") from error


def device_argument(name: str, value: Any) -> "torch.device":
    """A device of this machine.

    Raises:
        InputError: torch knows no such device, or this machine has none.
    """
    import torch  # seconds, which callers that check numbers alone do not pay

    try:
        device = torch.device(value)
        torch.zeros(1, device=device).item()
    except Exception as error:  # the kind depends on the device
        raise InputError(f"{name} is {described(value)}, but must be a device that this machine has, such as cpu or cuda") from error
    return device


def check_instance(name: str, value: Any, kind: type | tuple[type, ...], need: str) -> None:
    """Raise `InputError` unless the value is an instance of a class; `need` says so in words."""
    if not isinstance(value, kind):
        raise InputError(f"{name} is {described(value)}, but must be {need}")


def described(value: Any) -> str:
    """A wrong value for a message: itself if it is short and plain, else its type."""
    plain = value is None or isinstance(value, str | int | float | list | tuple | dict)
    shown = repr(value) if plain else ""
    return shown if shown and len(shown) <= MAX_SHOWN and "\n" not in shown else f"of type {type(value).__name__}"


def _scalar(value: Any) -> int | float | None:
    """The number that a value is, or None."""
    plain = value.item() if _is_scalar_array(value) else value
    return plain if isinstance(plain, int | float) and not isinstance(plain, bool) else None


def _is_scalar_array(value: Any) -> bool:
    """Whether it is a number of NumPy, or an array or a tensor without axes."""
    return getattr(value, "ndim", None) == 0 and hasattr(value, "item")
