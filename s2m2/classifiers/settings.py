"""Types and ranges of the classifiers' settings. A wrong one is an `InputError` that names classifier and setting."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from inspect import signature
from numbers import Integral, Real
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from s2m2.errors import InputError

RUNTIME = ("base", "random_state")
"""Constructor parameters that are no settings: the evaluation supplies them."""


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
    hint, *limits = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if hint not in TYPES:
        return value
    kind, need = TYPES[hint]
    if not isinstance(value, kind) or (isinstance(value, bool) and hint is not bool):
        raise InputError(f"{label} is {value!r}, but must be {need}")
    value = hint(value)
    if limits:
        number_type, need = limits
        try:
            number_type(value)
        except ValueError as error:
            raise InputError(f"{label} is {value}, but must be {need}") from error
    return value
