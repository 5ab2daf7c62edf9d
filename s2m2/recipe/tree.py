"""The recipe itself, to and from YAML, and what differs between two of them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace, set_parsing_settings

from s2m2.errors import InputError
from s2m2.recipe.command_settings import AnalyzeConfig
from s2m2.recipe.data import DataConfig
from s2m2.recipe.evaluation import EvaluateConfig
from s2m2.recipe.model import ModelConfig
from s2m2.recipe.ranges import NonNegativeInt, check, check_ranges
from s2m2.recipe.reading import read_tree
from s2m2.recipe.runtime import RuntimeConfig
from s2m2.recipe.training import FinetuneConfig, PretrainConfig

set_parsing_settings(docstring_parse_attribute_docstrings=True)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All settings of a run. The defaults are the embedded quick recipe: glyphs, a small backbone, two CPU cores."""

    seed: NonNegativeInt = 0
    """Seed of all randomness in training; the same seed repeats a run."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    analyze: AnalyzeConfig = field(default_factory=AnalyzeConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __post_init__(self) -> None:
        check_ranges(self, "")
        if self.finetune.epochs == 0:
            features = self.evaluate.features
            check("finetune" not in features, "evaluate.features", " ".join(features), "without finetune where finetune.epochs is 0")


def recipe_to_yaml(recipe: Recipe) -> str:
    """Every setting, defaults included, as YAML."""
    return yaml.safe_dump(_plain(asdict(recipe)), sort_keys=False)


def recipe_parser(**options: Any) -> ArgumentParser:
    """A parser whose flags and YAML keys mirror the recipe; jsonargparse checks names and types, the dataclasses ranges."""
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False, **options)
    parser.add_class_arguments(Recipe)
    return parser


def read_recipe(*paths: Path | str) -> Recipe:
    """The recipe of a YAML file, which states what differs from the defaults, and of files laid over it; names of 0.1.0 are understood.

    Raises:
        InputError: a file is missing, or holds an unknown key or a value of the wrong type or range; the message names the file.
    """
    if not paths:
        raise InputError("read_recipe takes the path of a recipe file, or of several")
    parser, parsed = _reader(), None
    for path in paths:
        tree, _ = read_tree(path, Recipe)
        try:
            parsed = parser.parse_object(tree, namespace=parsed)
            recipe = build_recipe(parser.instantiate(parsed))
        except ArgumentError as error:
            raise InputError(f"{path}: {one_line(error)}") from error
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    return recipe


@cache
def _reader() -> ArgumentParser:
    """The parser of files, made once: that takes most of the time of reading one."""
    return recipe_parser()


def build_recipe(parsed: Namespace) -> Recipe:
    """The recipe among parsed and instantiated settings."""
    return Recipe(**{item.name: parsed[item.name] for item in fields(Recipe)})


def one_line(error: Exception) -> str:
    """A parser's error as one line in a user's words: flags for keys, plain names of types."""
    text = " ".join(str(error).split())
    text = re.sub(r'Parser key "([^"]+)":', r"--\1:", text)
    text = re.sub(r"Expected a (?:typing\.)?Literal(\[[^\]]*\])", r"expected one of \1", text)
    text = re.sub(r"Expected a <class '(\w+)'>", r"expected \1", text)
    required = re.fullmatch(r"the following arguments are required: (.*)", text)
    return "needs " + ", ".join(f"--{name}" for name in required[1].split(", ")) if required else text


def differences(one: Recipe, other: Recipe, ignore: tuple[str, ...] = ()) -> Iterator[tuple[str, Any, Any]]:
    """Path and both values of every setting in which two recipes differ, except in the named sections."""
    values, other_values = dict(leaves(asdict(one))), dict(leaves(asdict(other)))
    for path, value in values.items():
        if value != other_values[path] and path.split(".")[0] not in ignore:
            yield path, value, other_values[path]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Settings of a tree by their dotted paths; `path` goes before each."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
