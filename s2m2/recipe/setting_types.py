"""Types of settings that come from Python: NumPy's numbers become Python's; text, switches, paths and sections are checked."""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from numbers import Real
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from s2m2.arguments import described
from s2m2.errors import InputError

KINDS: dict[Any, tuple[type, str]] = {
    bool: (bool, "true or false"),
    float: (Real, "a number"),
    str: (str, "text"),
    Path: (Path, "a pathlib.Path"),
    dict: (dict, "a mapping with a name and settings"),
}
"""What counts as a type without a range, and its words; ranges and choices are checked with their limits (`ranges.py`)."""


def plain(value: Any) -> Any:
    """A value in Python's own types: NumPy's and torch's numbers and arrays as numbers and lists, also inside of lists and mappings."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return type(value)(map(plain, value)) if type(value) in (list, tuple) else value


def settle_types(config: Any, annotations: Mapping[str, Any], section: str) -> None:
    """Turn the values of a new settings dataclass into plain ones, and check their types.

    Raises:
        InputError: a value is of another type; the message names the flag.
    """
    for item in fields(config):
        value = plain(getattr(config, item.name))
        value = tuple(value) if isinstance(value, list) else value
        object.__setattr__(config, item.name, value)
        if not _fits(value, annotations[item.name]):
            flag = f"{section}.{item.name}".lstrip(".")
            raise InputError(f"--{flag} is {described(value)}, but must be {_need(annotations[item.name])}")


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a value is of a type; True for types that have limits too."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if annotation is type(None):
        return value is None
    if origin is tuple and isinstance(value, tuple) and value:
        return all(_fits(item, parts[0]) for item in value)
    if is_dataclass(annotation) and isinstance(annotation, type):
        return isinstance(value, annotation)
    kind = origin or annotation
    return kind not in KINDS or (isinstance(value, KINDS[kind][0]) and (kind is bool or not isinstance(value, bool)))


def _need(annotation: Any) -> str:
    """A type in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return ", or ".join("None" if part is type(None) else _need(part) for part in parts)
    if origin is tuple:
        return f"a list, each value {_need(parts[0])}"
    if is_dataclass(annotation) and isinstance(annotation, type):
        return f"s2m2.recipe.{annotation.__name__}(...); settings of s2m2.run and its like may be mappings"
    return KINDS[origin or annotation][1] if (origin or annotation) in KINDS else "a value of another type"
