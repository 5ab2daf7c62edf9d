"""Ranges of settings as types, and the one check that holds them wherever settings are made: YAML, flags or Python.

A range is an annotation, `Annotated[int, <number type of jsonargparse>, <what is allowed, in words>]`: an `int` for type checkers.
"""

import math
import types
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from jsonargparse import typing as number
from jsonargparse.typing import restricted_number_type

from s2m2.errors import InputError
from s2m2.recipe.setting_types import settle_types

MAX_DIGITS = 4
"""Of a percentage in a table, after the decimal point."""
PositiveInt = Annotated[int, number.PositiveInt, "1 or more"]
NonNegativeInt = Annotated[int, number.NonNegativeInt, "0 or more"]
IntFromTwo = Annotated[int, restricted_number_type("IntFromTwo", int, (">=", 2)), "2 or more"]
PositiveFloat = Annotated[float, number.PositiveFloat, "above 0"]
NonNegativeFloat = Annotated[float, number.NonNegativeFloat, "0 or more"]
ClosedUnitInterval = Annotated[float, number.ClosedUnitInterval, "from 0 to 1"]
OpenUnitInterval = Annotated[float, number.OpenUnitInterval, "above 0 and below 1"]
FromZeroBelowOne = Annotated[float, restricted_number_type("FromZeroBelowOne", float, [(">=", 0), ("<", 1)]), "at least 0 and below 1"]
AboveZeroToOne = Annotated[float, restricted_number_type("AboveZeroToOne", float, [(">", 0), ("<=", 1)]), "above 0 and at most 1"]
LearningRate = Annotated[float, restricted_number_type("LearningRate", float, [(">", 0), ("<=", 1e37)]), "above 0 and at most 1e37"]
Tasks = Annotated[int, restricted_number_type("Tasks", int, [(">=", 1), ("<=", 10**8)]), "from 1 to 100,000,000"]
TasksFromTwo = Annotated[int, restricted_number_type("TasksFromTwo", int, [(">=", 2), ("<=", 10**8)]), "from 2 to 100,000,000"]
Crops = Annotated[int, restricted_number_type("Crops", int, [(">=", 0), ("<=", 1000)]), "from 0 to 1000"]
ImageSize = Annotated[int, restricted_number_type("ImageSize", int, (">=", 28)), "28 pixels or more"]
StoredSize = Annotated[int, restricted_number_type("StoredSize", int, [(">=", 8), ("<=", 4096)]), "from 8 to 4096 pixels"]
ResizeRatio = Annotated[float, restricted_number_type("ResizeRatio", float, [(">=", 1), ("<=", 2)]), "from 1 to 2"]
Channels = Annotated[int, restricted_number_type("Channels", int, (">=", 4)), "4 or more channels"]
StageIndex = Annotated[int, restricted_number_type("StageIndex", int, (">=", -1)), "0 or more, or -1"]
MixtureSize = Annotated[int, restricted_number_type("MixtureSize", int, [(">=", 2), ("<=", 8)]), "from 2 to 8"]
PixelStep = Annotated[float, restricted_number_type("PixelStep", float, [(">", 0), ("<=", 255)]), "above 0 and up to 255"]
Workers = Annotated[int, restricted_number_type("Workers", int, [(">=", 0), ("<=", 256)]), "from 0 to 256"]
ContactImages = Annotated[int, restricted_number_type("ContactImages", int, [(">=", 0), ("<=", 100)]), "from 0 to 100"]
Digits = Annotated[int, restricted_number_type("Digits", int, [(">=", 0), ("<=", MAX_DIGITS)]), f"from 0 to {MAX_DIGITS}"]
Port = Annotated[int, restricted_number_type("Port", int, [(">=", 0), ("<=", 65535)]), "from 0 to 65535"]
GrayBits = Annotated[int, restricted_number_type("GrayBits", int, [(">=", 8), ("<=", 32)]), "from 8 to 32"]
Megapixels = Annotated[float, restricted_number_type("Megapixels", float, [(">", 0), ("<=", 175)]), "above 0 and up to 175"]


NUMBERS: Mapping[Any, tuple[type, str]] = {int: (Integral, "a whole number"), float: (Real, "a number"), bool: (bool, "true or false")}
"""Types of plain values: what else counts as one, and their names in messages."""
WORDS: Mapping[Any, str] = {str: "a name", Path: "a path", dict: "a name with settings, {name: tim, steps: 500}"}


def check(condition: bool, flag: str, value: object, need: str) -> None:
    """Raise `InputError` naming the flag unless the condition holds."""
    _require(condition, f"--{flag}", value, need)


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
        check_value(getattr(config, item.name), annotations[item.name], f"--{f'{section}.{item.name}'.lstrip('.')}")


@cache
def annotations_of(kind: type) -> dict[str, Any]:
    """Annotations of a dataclass by field, ranges included."""
    return get_type_hints(kind, include_extras=True)


def annotation_at(path: str, kind: type) -> Any:
    """The annotation of a setting by its dotted path below a dataclass; None if there is none."""
    annotation: Any = kind
    for name in path.split("."):
        annotation = annotations_of(annotation).get(name) if is_dataclass(annotation) and isinstance(annotation, type) else None
    return annotation


def need_words(annotation: Any) -> str:
    """What a setting must be, as a message says it after "must be"."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return f"{need_words(parts[0])}, {parts[-1]}"
    if origin is Literal:
        return f"one of {', '.join(map(str, parts))}"
    if origin in (Union, types.UnionType):
        return ", or ".join("null" if part is type(None) else need_words(part) for part in parts)
    if origin is tuple:
        return (
            f"a list of values, each {need_words(parts[0])}" if Ellipsis in parts else f"{len(parts)} values, each {need_words(parts[0])}"
        )
    if is_dataclass(annotation):
        return "a section of settings, `name: value`"
    return NUMBERS[annotation][1] if annotation in NUMBERS else WORDS.get(origin or annotation, "another value")


def takes_several(annotation: Any) -> bool:
    """Whether a setting is a list of any length, or None."""
    if get_origin(annotation) in (Union, types.UnionType):
        return any(map(takes_several, get_args(annotation)))
    return get_origin(annotation) is tuple and Ellipsis in get_args(annotation)


def number_type(annotation: Any) -> type | None:
    """`int`, `float` or `bool` for a number of any range, None or not; None for everything else."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(filter(None, map(number_type, get_args(annotation))), None)
    kind = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return kind if kind in NUMBERS else None


def check_value(value: Any, annotation: Any, label: str, *, optional: bool = False) -> None:
    """Raise `InputError` unless a value is of its annotation's type and within its range.

    Args:
        label: what the message calls the setting, such as `--finetune.epochs`.
        optional: it may be None as well.
    """
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        for part in parts if value is not None else ():
            check_value(value, part, label, optional=type(None) in parts)
    elif origin is tuple:
        _check_items(value, parts, label, optional=optional)
    elif origin is Literal:
        _require(value in parts, label, value, need_words(annotation))
    elif origin is Annotated:
        _check_range(value, annotation, label, optional=optional)
    elif is_dataclass(annotation):
        check_ranges(value, label.removeprefix("--"))
    elif annotation in NUMBERS:
        _check_number(value, annotation, label)
        _check_finite(value, label)


def _require(condition: bool, label: str, value: object, need: str) -> None:
    if not condition:
        raise InputError(f"{label} is {'null' if value is None else value}, but must be {need}")


def _check_items(values: Any, annotations: tuple[Any, ...], label: str, *, optional: bool) -> None:
    _require(isinstance(values, (tuple, list)), label, values, "a list")
    if Ellipsis in annotations:
        annotations = annotations[:1] * len(values)
    _require(len(values) == len(annotations), label, list(values), f"{len(annotations)} values")
    for value, annotation in zip(values, annotations, strict=True):
        check_value(value, annotation, label, optional=optional)


def _check_number(value: Any, kind: type, label: str) -> None:
    counts, need = NUMBERS[kind]
    _require(isinstance(value, counts) and (kind is bool or not isinstance(value, bool)), label, repr(value), need)


def _check_range(value: Any, annotation: Any, label: str, *, optional: bool) -> None:
    base, kind, need = get_args(annotation)
    _check_number(value, base, label)
    try:
        kind(base(value))
    except ValueError:
        _require(False, label, value, need + (", or null" if optional else ""))
    _check_finite(value, label)


def _check_finite(value: Any, label: str) -> None:
    """No setting may be infinite or NaN: what is computed with it would not be finite either."""
    _require(not isinstance(value, Real) or math.isfinite(value), label, value, "finite")
