"""Errors of jsonargparse in a user's words: the flag, its value, and what it must be by its annotation."""

import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import get_args, get_origin

from s2m2.errors import did_you_mean
from s2m2.recipe.ranges import annotation_at, need_words

REQUIRED = re.compile(r"the following arguments are required: (.*)")
UNKNOWN = re.compile(r"Group '([^']+)' does not accept option '([^']+)'")
KEY = re.compile(r'Parser key "([^"]+)"')
VALUES = (re.compile(r"Given value: (.*)"), re.compile(r"Got value: (.*)"), re.compile(r'Unable to load config "(.*)"'))
"""What the parser says of a value; the first that fits counts."""
NAMES = {"None": "null", "True": "true", "False": "false"}
"""Python's values as YAML writes them."""


def explain(error: Exception, kinds: Sequence[type]) -> str:
    """An error as one line.

    Args:
        kinds: dataclasses that have the settings.
    """
    text = " ".join(str(error).split())
    if required := REQUIRED.fullmatch(text):
        return "needs " + ", ".join(f"--{name}" for name in required[1].split(", "))
    if unknown := UNKNOWN.search(text):
        section, name = unknown.groups()
        sections = filter(is_dataclass, (annotation_at(section, kind) for kind in kinds))
        names = [item.name for kind in sections for item in fields(kind)]
        return f"no setting {section}.{name}{did_you_mean(name, names, f'{section}.')}"
    keys = KEY.findall(text)  # the last is the setting, those before it are its sections
    annotation = next(filter(None, (annotation_at(keys[-1], kind) for kind in kinds)), None) if keys else None
    if annotation is None:
        return KEY.sub(r"--\1", text)
    found = next(filter(None, (pattern.search(text) for pattern in VALUES)), None)
    if found is None:
        return f"--{keys[-1]} must be {need_words(annotation)}"
    value = NAMES.get(found[1], found[1])
    one_of_several = get_origin(annotation) is tuple and "Expected a <class 'tuple'>" not in text and "Expected a tuple" not in text
    if one_of_several and not value.startswith("["):
        return f"--{keys[-1]} has {value}, but each value must be {need_words(get_args(annotation)[0])}"
    return f"--{keys[-1]} is {value}, but must be {need_words(annotation)}"
