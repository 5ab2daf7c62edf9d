"""Settings as text: flag, type, default and meaning, from the parser that reads them."""

import re
import sys
import textwrap
import types
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from jsonargparse import ArgumentParser

from s2m2.errors import InputError, did_you_mean
from s2m2.recipe import Recipe, recipe_parser
from s2m2.recipe.parts import CLASSIFIERS as CATALOG
from s2m2.recipe.parts import check_classifier
from s2m2.recipe.ranges import annotations_of

WIDTH = 80
WORDS = {int: "INT", float: "FLOAT", str: "TEXT", bool: "true|false", Path: "PATH", dict: "{name: NAME, SETTING: VALUE}"}
CLASSIFIERS = "evaluate.classifiers"
OPTIONS = ("run", "config", "print_config")
"""Flags of a call that are no settings."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting of a recipe or of a command."""

    flag: str
    """Dotted path, which is the flag; for an option of the call, all its flags."""
    kind: str
    default: str
    """Empty for an option of the call."""
    limits: str
    """What is allowed, empty if the type says it."""
    text: str

    def lines(self, *, brief: bool = False) -> str:
        """Flag, type, default and limits in a line, the meaning below; brief: no limits, and the first sentence."""
        facts = "; ".join(filter(None, (self.default, "" if brief else self.limits)))
        head = f"--{self.flag} {self.kind}".rstrip() + (f" ({facts})" if facts else "")
        return f"{wrap(head, 2, 6)}\n{wrap(first_sentence(self.text) if brief else self.text, 6, 6)}"


def settings_of(parser: ArgumentParser) -> list[Setting]:
    """All settings and options of a parser, in its order."""
    return [_setting(action) for action in parser._actions if action.option_strings and not _is_section(action)]


def print_settings(path: str | None = None) -> None:
    """`s2m2 settings [SECTION]`: the sections of a recipe, or the settings of one.

    Raises:
        InputError: there is no such section.
    """
    if path is None:
        lines = "\n".join(name_lines(name, summary, 24) for name, summary in sections().items())
        write(f"The sections of a recipe. `s2m2 settings SECTION` lists its settings.\n\n{lines}")
    elif path.startswith(f"{CLASSIFIERS}."):
        _print_classifier(path.removeprefix(f"{CLASSIFIERS}."))
    else:
        settings = [one for one in settings_of(recipe_parser(add_help=False)) if f"{one.flag}.".startswith(f"{path}.")]
        if not settings:
            classifiers = [f"{CLASSIFIERS}.{name}" for name in CATALOG]
            names = [*sections(), *(one.flag for one in settings_of(recipe_parser(add_help=False))), *classifiers]
            meant = did_you_mean(path, names) or did_you_mean(path, CATALOG, f"{CLASSIFIERS}.")
            raise InputError(f"no section or setting {path}{meant}")
        summary = sections().get(path)
        write("\n".join([*([f"{wrap(f'{path}: {summary}', 0, 0)}\n"] if summary else []), *(one.lines() for one in settings)]))
        if path == CLASSIFIERS:
            write(_classifier_list())


def sections(kind: type = Recipe, above: str = "") -> dict[str, str]:
    """Paths of the sections of a recipe, each with the first sentence of its meaning."""
    summaries = {}
    for item in fields(kind):
        annotation = annotations_of(kind)[item.name]
        if is_dataclass(annotation) and isinstance(annotation, type):
            path = f"{above}{item.name}"
            summaries[path] = first_sentence(annotation.__doc__ or "")
            summaries |= sections(annotation, f"{path}.")
    return summaries


def first_sentence(text: str) -> str:
    """The first sentence of a text, without line breaks."""
    words = " ".join(text.split())
    end = re.search(r"\. (?=[A-Z`])", words)  # not after "eq."
    return words[: end.start() + 1] if end else words


def wrap(text: str, first: int, rest: int) -> str:
    """A text in lines of 80 columns, indented; no-break spaces become spaces."""
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=" " * first, subsequent_indent=" " * rest, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines).replace("\xa0", " ")


def name_lines(name: str, text: str, indent: int) -> str:
    """A name with a text to its right."""
    return f"  {name:<{indent - 2}}{wrap(text, indent, indent)[indent:]}"


def write(text: str) -> None:
    """Print help."""
    sys.stdout.write(f"{text}\n")


def kind_words(annotation: Any) -> str:
    """The type of a setting in a user's words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind_words(parts[0])
    if origin is Literal:
        return "|".join(map(str, parts))
    if origin in (Union, types.UnionType):
        return "|".join("null" if part is type(None) else kind_words(part) for part in parts)
    if origin is tuple:
        return f"{kind_words(parts[0])} ..." if Ellipsis in parts else " ".join(map(kind_words, parts))
    return WORDS.get(origin or annotation, "VALUE")


def range_words(annotation: Any) -> str:
    """What an annotation with a range allows, in words; empty without a range."""
    if get_origin(annotation) is Annotated:
        words = get_args(annotation)[-1]
        return str(getattr(words, "need", words))
    return next(filter(None, map(range_words, get_args(annotation))), "")


def _setting(action: Any) -> Setting:
    flags, text = ", ".join(action.option_strings).removeprefix("--"), " ".join(str(action.help).split())
    annotation = getattr(action, "_typehint", None)
    if action.dest in OPTIONS and not action.required:
        return Setting(flag=flags, kind=action.metavar or "", default="", limits="", text=text)
    default = "required" if action.required else f"default:\xa0{_value_words(action.default)}"
    return Setting(flag=flags, kind=kind_words(annotation), default=default, limits=range_words(annotation), text=text)


def _is_section(action: Any) -> bool:
    return type(action).__name__ == "_ActionConfigLoad"


def _value_words(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return " ".join(map(_value_words, value)) or "none"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _print_classifier(name: str) -> None:
    """The settings of a few-shot classifier."""
    from s2m2.classifiers import load_class  # which may import torch

    check_classifier(CLASSIFIERS, name)
    kind = load_class(name)
    parser = ArgumentParser(add_help=False)
    parser.add_class_arguments(kind, skip={"base", "random_state"})
    title = wrap(f"{name}: {first_sentence(kind.__doc__ or '')}", 0, 0)
    write(f"{title}\n\nIn a recipe: classifiers: [{{name: {name}, SETTING: VALUE}}]\n")
    settings = settings_of(parser)
    write("\n".join(one.lines().replace("--", "", 1) for one in settings) if settings else "  It has no settings.")


def _classifier_list() -> str:
    names = ", ".join(CATALOG)
    return f"\nClassifiers; `s2m2 settings {CLASSIFIERS}.NAME` lists the settings of one:\n{wrap(names, 2, 2)}"
