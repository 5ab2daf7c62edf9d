"""Types and ranges of the classifiers' settings. A wrong one is an `InputError` that names classifier and setting."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from inspect import signature
from numbers import Integral, Real
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from s2m2.errors import InputError

RUNTIME = ("base", "random_state")
"""Constructor parameters that are no settings: the evaluation supplies them."""


class Range(NamedTuple):
    """Values that a number may take."""

    need: str
    holds: Callable[[float], bool]


Positive = Annotated[float, Range("above 0", lambda value: value > 0)]
NonNegative = Annotated[float, Range("0 or more", lambda value: value >= 0)]
BelowOne = Annotated[float, Range("at least 0 and below 1", lambda value: 0 <= value < 1)]
FromZeroToOne = Annotated[float, Range("from 0 to 1", lambda value: 0 <= value <= 1)]
PositiveFraction = Annotated[float, Range("above 0, and 1 or less", lambda value: 0 < value <= 1)]
Count = Annotated[int, Range("1 or more", lambda value: value >= 1)]
CountOrZero = Annotated[int, Range("0 or more", lambda value: value >= 0)]

TYPES: Mapping[Any, tuple[type, str]] = {int: (Integral, "a whole number"), float: (Real, "a number"), bool: (bool, "true or false")}


def setting_names(cls: Callable[..., Any]) -> tuple[str, ...]:
    """Settings of a few-shot classifier, in the order of its constructor."""
    return tuple(name for name in signature(cls).parameters if name not in RUNTIME)


def check_names(classifier: str, names: Iterable[str], settings: Iterable[str]) -> None:
    """Raise `InputError` for a setting that is not among the names."""
    choices = tuple(names)
    for setting in settings:
        if setting not in choices:
            guess = get_close_matches(str(setting), choices, n=1)
            meant = f" (did you mean {guess[0]}?)" if guess else ""
            raise InputError(f"{classifier} has no setting {setting}{meant}; its settings: {', '.join(choices) or 'none'}")


def check_settings(classifier: str, cls: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a few-shot classifier, whole numbers turned to floats where the class asks for floats.

    Raises:
        InputError: a setting is unknown, of another type, or out of range.
    """
    check_names(classifier, setting_names(cls), settings)
    hints = get_type_hints(cls.__init__, include_extras=True)
    return {name: _checked(f"{classifier}.{name}", value, hints.get(name)) for name, value in settings.items()}


def _checked(label: str, value: Any, hint: Any) -> Any:
    if get_origin(hint) in (Union, UnionType):
        if value is None:
            return value
        hint = next(option for option in get_args(hint) if option is not type(None))
    hint, ranges = (get_args(hint)[0], get_args(hint)[1:]) if get_origin(hint) is Annotated else (hint, ())
    if get_origin(hint) is Literal and value not in get_args(hint):
        raise InputError(f"{label} is {value}, but must be one of {', '.join(map(str, get_args(hint)))}")
    if hint in TYPES:
        kind, need = TYPES[hint]
        if not isinstance(value, kind) or (isinstance(value, bool) and hint is not bool):
            raise InputError(f"{label} is {value!r}, but must be {need}")
        value = hint(value)
    for need, holds in ranges:
        if not holds(value):
            raise InputError(f"{label} is {value}, but must be {need}")
    return value
