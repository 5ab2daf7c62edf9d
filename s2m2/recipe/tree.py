"""The recipe itself, to and from YAML, and what differs between two of them."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
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
from s2m2.recipe.parse_errors import explain
from s2m2.recipe.ranges import NonNegativeInt, annotations_of, check, check_ranges, takes_several
from s2m2.recipe.reading import read_tree, with_line
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
    return yaml.safe_dump(plain_values(asdict(recipe)), sort_keys=False)


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
            parsed = parse_tree(parser, tree, parsed)
            recipe = build_recipe(parser.instantiate(parsed))
        except ArgumentError as error:
            raise InputError(f"{path}: {with_line(path, one_line(error))}") from error
        except InputError as error:
            raise InputError(f"{path}: {with_line(path, str(error))}") from error
    return recipe


@cache
def _reader() -> ArgumentParser:
    """The parser of files, made once: that takes most of the time of reading one."""
    return recipe_parser()


def build_recipe(parsed: Namespace) -> Recipe:
    """The recipe among parsed and instantiated settings."""
    return Recipe(**{item.name: parsed[item.name] for item in fields(Recipe)})


def parse_tree(parser: ArgumentParser, tree: Mapping[str, Any], over: Namespace | None = None) -> Namespace:
    """The settings of a plain tree, laid over parsed ones; a value alone is a list of one where several may stand.

    Raises:
        ArgumentError: a setting is unknown, or its value is of another type.
    """
    return parser.parse_object(_with_lists(tree, Recipe), namespace=over)


def _with_lists(tree: Mapping[str, Any], kind: type) -> dict[str, Any]:
    annotations = annotations_of(kind)
    settings: dict[str, Any] = {}
    for name, value in tree.items():
        annotation = annotations.get(name)
        if is_dataclass(annotation) and isinstance(annotation, type) and isinstance(value, Mapping):
            settings[name] = _with_lists(value, annotation)
        else:
            alone = takes_several(annotation) and value is not None and not isinstance(value, list | tuple)
            settings[name] = [value] if alone else value
    return settings


def one_line(error: Exception, kind: type | None = None) -> str:
    """A parser's error as one line in a user's words.

    Args:
        kind: dataclass of settings beside those of a recipe.
    """
    return explain(error, (Recipe,) if kind is None else (kind, Recipe))


def differences(one: Recipe, other: Recipe, ignore: tuple[str, ...] = ()) -> Iterator[tuple[str, Any, Any]]:
    """Path and both values of every setting in which two recipes differ, except in the named sections."""
    values, other_values = dict(leaves(asdict(one))), dict(leaves(asdict(other)))
    for path, value in values.items():
        if value != other_values[path] and path.split(".")[0] not in ignore:
            yield path, value, other_values[path]


def plain_values(value: Any) -> Any:
    """Values in the types that YAML has."""
    if isinstance(value, Mapping):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    return [plain_values(item) for item in value] if isinstance(value, list | tuple) else value


def leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Settings of a tree by their dotted paths; `path` goes before each."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
