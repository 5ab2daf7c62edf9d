"""Recipe files as plain trees: strict YAML, names of 0.1.0 brought up to date, unknown settings refused."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_origin

import yaml

from s2m2.arguments import path_argument
from s2m2.errors import InputError, did_you_mean
from s2m2.io import reading
from s2m2.recipe.legacy import modernize
from s2m2.recipe.ranges import annotations_of, check, need_words

FLOAT = re.compile(r"[-+]?\d[\d_]*(\.\d*)?[eE][-+]?\d+")
"""Numbers such as 1e-3, which YAML 1.1 reads as text."""
DECIMAL = re.compile(r"[-+]?(0|[1-9][\d_]*)")


MAX_VALUES = 10_000
"""Values that a file may state, those that aliases (`*name`) repeat included; a recipe has some 150 settings."""


class RecipeLoader(yaml.SafeLoader):
    """YAML without its traps: a key twice, numbers that YAML 1.1 does not read as decimal (017, 1:30), aliases that repeat no end."""

    def get_single_node(self) -> yaml.Node | None:
        """The whole file, bounded."""
        node = super().get_single_node()
        if node is not None:
            _count_values(node, {})
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys differ."""
        keys = [key.value for key, _ in node.value]
        for index, (key, _) in enumerate(node.value):
            if key.value in keys[:index]:
                raise InputError(f"line {key.start_mark.line + 1}: {key.value} is stated twice")
        return super().construct_mapping(node, deep)

    def construct_decimal(self, node: yaml.ScalarNode) -> int | float:
        """A whole number or a float in decimal notation."""
        whole = node.tag.endswith(":int")
        if ":" in node.value or (whole and not DECIMAL.fullmatch(node.value)):
            raise InputError(f"line {node.start_mark.line + 1}: {node.value} is not a decimal number")
        return self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)


def _count_values(node: yaml.Node, counts: dict[int, int]) -> int:
    """Values below a node, counted once however often aliases repeat it; `counts` has those of nodes seen before."""
    if id(node) in counts:
        if counts[id(node)] == 0:
            raise InputError(f"line {node.start_mark.line + 1}: a value holds itself")
        return counts[id(node)]
    counts[id(node)] = 0
    parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
    total = 1 + sum(_count_values(part, counts) for part in parts if isinstance(part, yaml.Node))
    if total > MAX_VALUES:
        raise InputError(f"line {node.start_mark.line + 1}: more than {MAX_VALUES:,} values, with those that aliases repeat")
    counts[id(node)] = total
    return total


def _lines(node: yaml.Node | None, section: str = "") -> dict[str, int]:
    """The line of every setting, by its dotted path."""
    lines: dict[str, int] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        lines[f"{section}{key.value}"] = key.start_mark.line + 1
        lines |= _lines(value, f"{section}{key.value}.")
    return lines


def with_line(path: Path | str, message: str) -> str:
    """A message on a recipe file with the line of the setting that it names, if it names one that the file states."""
    try:
        lines = _lines(yaml.compose(Path(path).read_text(encoding="utf-8"), RecipeLoader))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return message
    named = next((name for name in re.findall(r"[a-z_]\w*(?:\.[^\s,;:]+)*", message, flags=re.IGNORECASE) if name in lines), None)
    return message if named is None or message.startswith("line ") else f"line {lines[named]}: {message}"


for _tag in ("int", "float"):
    RecipeLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", RecipeLoader.construct_decimal)
RecipeLoader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789"))


CHECKSUM_LINE = "# checksum "
"""Begins the last line of the recipe of a run."""
OF_RUN = "recipe.yaml"
"""Name of the recipe of a run; a copy under another name may be edited."""


def with_checksum(text: str) -> str:
    """The text of a recipe with its SHA-256 as a comment at its end."""
    return f"{text}{CHECKSUM_LINE}{hashlib.sha256(text.encode()).hexdigest()}\n"


def _check_unchanged(path: Path, text: str) -> None:
    """Raise `InputError` if the recipe of a run is not the one that was written."""
    content, found, stated = text.rpartition(CHECKSUM_LINE)
    if path.name == OF_RUN and found and hashlib.sha256(content.encode()).hexdigest() != stated.strip():
        raise InputError("has changed since it was written; if that was meant, remove its last line, the checksum")


def read_tree(path: Path | str, kind: type) -> tuple[dict[str, Any], list[str]]:
    """The settings that a YAML file states, by today's names, and what was renamed.

    Args:
        kind: dataclass that the file has settings of.

    Raises:
        InputError: the file is missing, is no YAML, or states an unknown setting; the message names the file.
    """
    path = path_argument("path", path)
    if not path.is_file():
        raise InputError(f"no recipe file {path}")
    with reading(path):
        content = path.read_bytes()
    try:
        text = content.decode()
        _check_unchanged(path, text)
        tree = yaml.load(text, RecipeLoader)  # noqa: S506  # a SafeLoader
        if tree is None:
            return {}, []
        if not isinstance(tree, dict):
            raise InputError("holds no settings, `name: value`")
        tree, notes = modernize(tree)
        return known_settings(tree, kind), notes
    except RecursionError as error:
        raise InputError(f"{path} is nested too deeply") from error
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise InputError(f"{path}: {with_line(path, ' '.join(str(error).split()))}") from error


def known_settings(tree: Mapping[Any, Any], kind: type, section: str = "") -> dict[str, Any]:
    """The tree without empty sections.

    Raises:
        InputError: a setting is unknown, or a section is no mapping.
    """
    annotations, names = annotations_of(kind), [item.name for item in fields(kind)]
    settings = {}
    for name, value in tree.items():
        if name not in names:
            raise InputError(f"no setting {section}{name}{did_you_mean(str(name), names, section)}")
        if value is None and get_origin(annotations[name]) is tuple:
            check(False, f"{section}{name}", None, need_words(annotations[name]))
        if not is_dataclass(annotations[name]):
            settings[name] = value
        elif value is not None:
            check(isinstance(value, dict), f"{section}{name}", value, "a section of settings, `name: value`")
            settings[name] = known_settings(value, annotations[name], f"{section}{name}.")
    return settings
