"""Ranges of settings as types, and the one check that holds them wherever a settings dataclass is made: YAML, flags or Python.

A range is an annotation, `Annotated[int, <number type of jsonargparse>, <what is allowed, in words>]`: an `int` for type checkers.
"""

import types
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from jsonargparse import typing as number
from jsonargparse.typing import restricted_number_type

from s2m2.errors import InputError
from s2m2.recipe.setting_types import settle_types

PositiveInt = Annotated[int, number.PositiveInt, "1 or more"]
NonNegativeInt = Annotated[int, number.NonNegativeInt, "0 or more"]
IntFromTwo = Annotated[int, restricted_number_type("IntFromTwo", int, (">=", 2)), "2 or more"]
PositiveFloat = Annotated[float, number.PositiveFloat, "above 0"]
NonNegativeFloat = Annotated[float, number.NonNegativeFloat, "0 or more"]
ClosedUnitInterval = Annotated[float, number.ClosedUnitInterval, "from 0 to 1"]
OpenUnitInterval = Annotated[float, number.OpenUnitInterval, "above 0 and below 1"]
FromZeroBelowOne = Annotated[float, restricted_number_type("FromZeroBelowOne", float, [(">=", 0), ("<", 1)]), "at least 0 and below 1"]
AboveZeroToOne = Annotated[float, restricted_number_type("AboveZeroToOne", float, [(">", 0), ("<=", 1)]), "above 0 and at most 1"]
ImageSize = Annotated[int, restricted_number_type("ImageSize", int, (">=", 28)), "28 pixels or more"]
StoredSize = Annotated[int, restricted_number_type("StoredSize", int, [(">=", 8), ("<=", 4096)]), "from 8 to 4096 pixels"]
ResizeRatio = Annotated[float, restricted_number_type("ResizeRatio", float, [(">=", 1), ("<=", 2)]), "from 1 to 2"]
Channels = Annotated[int, restricted_number_type("Channels", int, (">=", 4)), "4 or more channels"]
StageIndex = Annotated[int, restricted_number_type("StageIndex", int, (">=", -1)), "stage numbers from 0, or -1"]
MixtureSize = Annotated[int, restricted_number_type("MixtureSize", int, [(">=", 2), ("<=", 8)]), "from 2 to 8"]
PixelStep = Annotated[float, restricted_number_type("PixelStep", float, [(">", 0), ("<=", 255)]), "above 0 and up to 255"]
Workers = Annotated[int, restricted_number_type("Workers", int, [(">=", 0), ("<=", 256)]), "from 0 to 256"]
ContactImages = Annotated[int, restricted_number_type("ContactImages", int, [(">=", 0), ("<=", 100)]), "from 0 to 100"]


def check(condition: bool, flag: str, value: object, need: str) -> None:
    """Raise `InputError` naming the flag unless the condition holds."""
    if not condition:
        raise InputError(f"--{flag} is {value}, but must be {need}")


def check_distinct(flag: str, values: Iterable[object], *, empty: bool = False) -> None:
    """Raise `InputError` if a list has a value twice, or none at all unless `empty`."""
    listed = list(values)
    twice = any(value in listed[:index] for index, value in enumerate(listed))
    check((empty or bool(listed)) and not twice, flag, listed, f"{'' if empty else 'one or more '}different values")


def check_ranges(config: Any, section: str) -> None:
    """Check all values of a settings dataclass, and of those inside it, against their annotations.

    Args:
        section: path of these settings in the recipe, such as `finetune`; empty for the recipe itself and for a command's own settings.

    Raises:
        InputError: a value is out of range; the message names the flag.
    """
    kind: Any = type(config)
    annotations = annotations_of(kind)
    settle_types(config, annotations, section)
    for item in fields(config):
        _check_value(getattr(config, item.name), annotations[item.name], f"{section}.{item.name}".lstrip("."))


@cache
def annotations_of(kind: type) -> dict[str, Any]:
    """Annotations of a dataclass by field, ranges included."""
    return get_type_hints(kind, include_extras=True)


def _check_value(value: Any, annotation: Any, flag: str, *, optional: bool = False) -> None:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        for part in parts if value is not None else ():
            _check_value(value, part, flag, optional=type(None) in parts)
    elif origin is tuple:
        _check_items(value, parts, flag, optional=optional)
    elif origin is Literal:
        check(value in parts, flag, value, f"one of {', '.join(map(str, parts))}")
    elif origin is Annotated:
        _check_number(value, annotation, flag, optional=optional)
    elif is_dataclass(annotation):
        check_ranges(value, flag)


def _check_items(values: Any, annotations: tuple[Any, ...], flag: str, *, optional: bool) -> None:
    check(isinstance(values, (tuple, list)), flag, values, "a list")
    if Ellipsis in annotations:
        annotations = annotations[:1] * len(values)
    check(len(values) == len(annotations), flag, list(values), f"{len(annotations)} values")
    for value, annotation in zip(values, annotations, strict=True):
        _check_value(value, annotation, flag, optional=optional)


def _check_number(value: Any, annotation: Any, flag: str, *, optional: bool) -> None:
    base, kind, need = get_args(annotation)
    is_number = isinstance(value, Integral if base is int else Real) and not isinstance(value, bool)
    check(is_number, flag, repr(value), "a whole number" if base is int else "a number")
    try:
        kind(value)
    except ValueError:
        check(False, flag, value, need + (", or null" if optional else ""))
