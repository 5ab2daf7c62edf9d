"""A recipe from Python: a file, a mapping or a `Recipe`, with settings over it."""

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError

from s2m2.arguments import described, path_argument
from s2m2.errors import InputError, did_you_mean
from s2m2.recipe.legacy import renamed_advice
from s2m2.recipe.setting_types import plain
from s2m2.recipe.tree import Recipe, build_recipe, one_line, parse_tree, plain_values, read_recipe, recipe_parser, recipe_to_yaml

AnyRecipe = str | Path | Recipe | Mapping[str, Any] | None
"""A recipe file, a recipe, its settings as a mapping, or None: the defaults."""
SHORTCUTS = {"backbone": "model.backbone", "classifier": "evaluate.classifiers"}
"""Short names of settings that name parts of one's own."""


def as_recipe(recipe: AnyRecipe = None, **settings: Any) -> Recipe:
    """A recipe with settings over it.

    Args:
        recipe: mappings may be nested or have dotted names, as settings.
        settings: `pretrain={"epochs": 2}` and `**{"pretrain.epochs": 2}` change that setting alone; `backbone` is short for
            `model.backbone`, and `classifier`, a name or a list of them, for `evaluate.classifiers`.

    Raises:
        InputError: the file is missing, a setting is unknown, or a value has the wrong type or range.
    """
    base = Recipe() if recipe is None or isinstance(recipe, Mapping) else recipe
    if isinstance(base, str | Path):
        base = read_recipe(path_argument("recipe", base))
    if not isinstance(base, Recipe):
        raise InputError(f"recipe is {described(base)}, but must be a file, a Recipe or a mapping of settings")
    changes = {**(recipe if isinstance(recipe, Mapping) else {}), **settings}
    if not changes:
        return base
    tree = yaml.safe_load(recipe_to_yaml(base))
    for name, value in ((str(key), value) for key, value in changes.items()):
        several = [value] if name == "classifier" and isinstance(value, str | Mapping) else value
        _merge(tree, SHORTCUTS.get(name, name).split("."), several)
    try:
        parser = recipe_parser()
        return build_recipe(parser.instantiate(parse_tree(parser, tree)))
    except (ArgumentError, ValueError) as error:
        raise InputError(one_line(error)) from error


def _merge(tree: dict[str, Any], names: list[str], value: Any, section: str = "") -> None:
    """Put a setting into the tree of a whole recipe; a mapping changes only the settings that it names."""
    name, *rest = names
    if name not in tree:
        advice = renamed_advice(f"{section}{name}") or did_you_mean(name, list(tree), section)
        raise InputError(f"no setting {section}{name}{advice}")
    value = plain(asdict(value) if is_dataclass(value) and not isinstance(value, type) else value)
    if not rest and isinstance(tree[name], dict) and not isinstance(value, Mapping):
        raise InputError(f"{section}{name} is {described(value)}, but must be a section of settings")
    if not rest and not isinstance(value, Mapping):
        tree[name] = plain_values(value)
        return
    if not isinstance(tree[name], dict):
        raise InputError(f"{section}{name} is a single setting, not a section")
    for key, item in {".".join(rest): value}.items() if rest else value.items():
        _merge(tree[name], str(key).split("."), item, f"{section}{name}.")
