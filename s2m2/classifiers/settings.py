"""Types and ranges of the classifiers' settings. A wrong one is an `InputError` that names classifier and setting."""

from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, signature
from typing import Any, get_type_hints

from s2m2.errors import InputError, did_you_mean
from s2m2.recipe.ranges import check_value, number_type

RUNTIME = ("base", "random_state")
"""Constructor parameters that are no settings: the evaluation supplies them."""


def setting_names(cls: Callable[..., Any]) -> tuple[str, ...]:
    """Settings of a few-shot classifier, in the order of its constructor."""
    return tuple(name for name in signature(cls).parameters if name not in RUNTIME)


def default_settings(cls: Callable[..., Any]) -> dict[str, Any]:
    """Settings of a few-shot classifier that have a default, and these; none for a plain function."""
    parameters = signature(cls).parameters
    return {name: parameters[name].default for name in setting_names(cls) if parameters[name].default is not Parameter.empty}


def check_names(classifier: str, names: Iterable[str], settings: Iterable[str]) -> None:
    """Raise `InputError` for a setting that is not among the names."""
    choices = tuple(names)
    for setting in settings:
        if setting not in choices:
            others = did_you_mean(str(setting), choices) or f"; its settings: {', '.join(choices) or 'none'}"
            raise InputError(f"{classifier} has no setting {setting}{others}")


def check_settings(classifier: str, cls: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a few-shot classifier, whole numbers turned to floats where the class asks for floats.

    Raises:
        InputError: a setting is unknown, of another type, or out of range.
    """
    check_names(classifier, setting_names(cls), settings)
    hints = get_type_hints(cls.__init__, include_extras=True)
    for name, value in settings.items():
        check_value(value, hints.get(name), f"{classifier}.{name}")
    return {name: _number(value, hints.get(name)) for name, value in settings.items()}


def _number(value: Any, annotation: Any) -> Any:
    """The value, a number as Python's type of the annotation."""
    kind = number_type(annotation)
    return kind(value) if kind is not None and value is not None else value
