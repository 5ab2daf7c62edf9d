"""Whether what a JSON file states has the types of the dataclass that it becomes: Python itself does not look."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from s2m2.arguments import described


def check_types(value: Any) -> None:
    """Raise `ValueError`, with its name, for the first field of a dataclass whose value has another type than its annotation.

    Whole numbers count as floats, and lists as tuples; fields that are dataclasses are checked as well.
    """
    hints = _hints(type(value))  # type: ignore[arg-type]  # of a dataclass; classes are hashable
    for item in fields(value):
        if not _fits(getattr(value, item.name), hints[item.name]):
            raise ValueError(f"{item.name} is {described(getattr(value, item.name))}")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _fits(value: Any, hint: Any) -> bool:
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if origin is list:
        return isinstance(value, list) and all(_fits(one, *parts) for one in value)
    if origin is tuple:
        if not isinstance(value, tuple | list):
            return False
        kinds = [parts[0]] * len(value) if parts[1:] == (...,) else parts
        return len(value) == len(kinds) and all(map(_fits, value, kinds))
    if origin is not None:  # what is in a mapping is up to its readers
        return isinstance(value, Mapping) if origin is Mapping else isinstance(value, origin)
    if is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, hint):
            check_types(value)
        return isinstance(value, hint)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, int | float if hint is float else hint)
