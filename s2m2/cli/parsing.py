"""From the words of a call to settings: a recipe may stand anywhere, a list takes spaces, and a wrong flag gets a suggestion."""

import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from s2m2.cli.subcommands import SECTIONS, Command
from s2m2.errors import InputError, did_you_mean
from s2m2.recipe import Recipe, build_recipe, one_line, parse_tree, read_recipe, recipe_parser
from s2m2.recipe.confinement import SAVES, confined
from s2m2.recipe.legacy import renamed_advice
from s2m2.recipe.reading import read_tree
from s2m2.runs.directory import default_path
from s2m2.runs.expectation import beside
from s2m2.runs.named_weights import list_of_names, trained_folder

END = "--"
"""Ends the flags: what follows is positional, whatever it begins with."""
STDIN = "-"
"""Stands for standard input."""
HELP_FLAGS = ("-h", "--help", "--help.all")
SWITCHES = ("--print_config",)
"""Flags without a value."""
RECIPE_ENDINGS = (".yaml", ".yml")
"""What ends a list of values, so that a recipe may follow it."""


class UsageError(InputError):
    """A call that does not have the form of the command."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A parsed call of a command that takes a recipe."""

    recipe: Recipe
    run: Path
    """Directory of the run."""
    options: Any
    """The command's own settings, None if it has none."""
    prints: bool
    """Print the recipe, and stop."""
    unused: tuple[str, ...]
    """Flags of sections of the recipe that the command does not look at."""
    warnings: tuple[str, ...]
    expected: Path | None
    """File beside the recipe of what to expect of it; None where there is none."""


def command_parser(name: str, command: Command) -> ArgumentParser:
    """The parser of a command's flags."""
    build = recipe_parser if command.sections else partial(ArgumentParser, exit_on_error=False, allow_abbrev=False)
    parser = build(prog=f"s2m2 {name}", add_help=False)
    if command.has_run:
        named = f", or weights of the repository by name ({list_of_names()}), with results in runs/NAME" if command.trained else ""
        text = f"Run directory{named}; by default runs/NAME of the recipe. torchrun needs the second flag."
        parser.add_argument("--run", "--run-dir", type=str, metavar="DIR", help=text)
    if command.sections:
        parser.add_argument("--config", type=str, metavar="FILE", help="Another recipe file, laid over RECIPE; may be repeated.")
        parser.add_argument("--print_config", action="store_true", help="Print all settings as a recipe file, and stop.")
    if command.config is not None:
        parser.add_class_arguments(command.config)
    return parser


def parse_recipe(name: str, command: Command, arguments: Sequence[str]) -> Call:
    """The call of a command that takes a recipe; without a recipe file, that of the run directory.

    Raises:
        InputError: a file, a flag or a value is wrong.
    """
    parser = command_parser(name, command)
    positional, flags = sort_arguments(arguments, parser_flags(parser), list_flags(parser))
    if len(positional) > 1:
        raise UsageError(f"takes one RECIPE, but was given {' and '.join(positional)}")
    pairs = _pairs(flags)
    run = _run_path(pairs, positional, by_name="run" in command.trained)
    resumes = command.has_run and not positional and "--features" not in flags and (run / "recipe.yaml").is_file()
    run_files = [run / "recipe.yaml"] if resumes else []
    files = [Path(word) for word in [*positional, *(value for flag, value in pairs if flag == "--config")]]
    parsed, warnings = _layer(parser, run_files, files)
    parsed = _parse(parser, command.config, [word for pair in pairs if pair[0] != "--config" for word in pair], parsed)
    options = None if command.config is None else _build(command.config, parsed)
    recipe = build_recipe(parsed)
    if not any(f"--{SAVES}".startswith(flag) for flag, _ in pairs):
        recipe, note = confined(recipe, run, own=resumes)
        warnings += [note] if note else []
    others = tuple(f"--{section}." for section in SECTIONS if section not in command.sections)
    return Call(
        recipe=recipe,
        run=run,
        options=options,
        prints="--print_config" in flags,
        unused=tuple(flag for flag, _ in pairs if flag.startswith(others)),
        warnings=tuple(warnings),
        expected=next((beside(Path(word)) for word in positional if os.path.lexists(beside(Path(word)))), None),
    )


def parse_settings(name: str, command: Command, arguments: Sequence[str]) -> Any:
    """The settings of a command that takes no recipe.

    Raises:
        InputError: a flag or a value is wrong.
    """
    assert command.config is not None
    parser = command_parser(name, command)
    literal = [f"--{setting}" for setting in command.literal]
    positional, flags = sort_arguments(arguments, parser_flags(parser), list_flags(parser), literal)
    single, several = positional[: len(command.positional)], positional[len(command.positional) :]
    if several and command.several is None:
        names = " and ".join(setting.upper() for setting in command.positional)
        raise UsageError(f"takes {names}, but was given {' and '.join(positional)}")
    leading = [word for setting, value in zip(command.positional, single, strict=False) for word in (f"--{setting}", value)]
    words = [*leading, *flags]
    for index, flag in enumerate(words[:-1]):
        if flag.removeprefix("--") in command.trained and flag.startswith("--"):
            words[index + 1] = str(trained_folder(words[index + 1], flag))
    parsed = _parse(parser, command.config, words)
    if several:  # as they are: names of files may hold what a list in a flag gives a meaning
        parsed[command.several] = (*several, *parsed[command.several])
    return _build(command.config, parsed)


def parser_flags(parser: ArgumentParser) -> set[str]:
    """All flags of a parser."""
    return {flag for action in parser._actions for flag in action.option_strings}


def list_flags(parser: ArgumentParser) -> set[str]:
    """Flags that take several values, `--evaluate.ways 5 10 20`."""
    return {flag for action in parser._actions for flag in action.option_strings if "tuple" in str(getattr(action, "_typehint", ""))}


def sort_arguments(
    arguments: Sequence[str], flags: Collection[str], lists: Collection[str], literal: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """Positional arguments, and the others as `--flag value`, with the values of a list joined to `[a, b]`.

    Args:
        flags: all flags that there are.
        lists: those that take several values.
        literal: those of the lists whose values are taken as they are.

    Raises:
        UsageError: an unknown flag, or a flag without its value.
    """
    positional: list[str] = []
    sorted_flags: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument == END:
            return [*positional, *waiting], sorted_flags
        if not argument.startswith("-") or argument == STDIN:
            positional.append(argument)
            continue
        flag, equals, value = argument.partition("=")
        flag = _existing(flag, flags)
        sorted_flags.append(flag)
        if flag in SWITCHES:
            continue
        values = [value] if equals else _take_values(waiting, several=flag in lists)
        if not values:
            raise UsageError(f"{flag} needs a value")
        if flag in literal:
            sorted_flags.append(json.dumps(values, ensure_ascii=False))
            continue
        whole = flag not in lists or values[0].startswith("[") or values == ["null"]
        sorted_flags.append(values[0] if whole else f"[{', '.join(values)}]")
    return positional, sorted_flags


def _existing(flag: str, flags: Collection[str]) -> str:
    """The flag, with hyphens or underscores."""
    name = flag.replace("-", "_").replace("__", "--", 1)
    if flag in flags or name in flags:
        return flag if flag in flags else name
    path = flag.removeprefix("--")
    advice = renamed_advice(path, "--") or did_you_mean(flag, sorted({*flags, *HELP_FLAGS}))
    raise UsageError(f"no flag {flag}{advice}")


def _take_values(waiting: list[str], *, several: bool) -> list[str]:
    values: list[str] = []
    while waiting and (not waiting[0].startswith("-") or _is_number(waiting[0])):
        if values and waiting[0].endswith(RECIPE_ENDINGS):
            break
        values.append(waiting.pop(0))
        if not several:
            break
    return values


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _pairs(flags: Sequence[str]) -> list[tuple[str, str]]:
    """Sorted flags with their values, without the switches."""
    words = [word for word in flags if word not in SWITCHES]
    return list(zip(words[::2], words[1::2], strict=True))


def _layer(parser: ArgumentParser, run_files: Sequence[Path], files: Sequence[Path]) -> tuple[Any, list[str]]:
    """The settings of recipe files, the later over the earlier; and a warning of former names, except of a run's own recipe."""
    if run_files or files:
        read_recipe(*run_files, *files)  # what is wrong in a file is said with its name
    parsed, warnings = None, []
    for file in [*run_files, *files]:
        tree, renamed = read_tree(file, Recipe)
        parsed = parse_tree(parser, tree, parsed)
        if renamed and file not in run_files:
            warnings.append(f"{file} uses names of version 0.1.0: {'; '.join(renamed)}")
    return parsed, warnings


def _run_path(pairs: Sequence[tuple[str, str]], positional: Sequence[str], *, by_name: bool) -> Path:
    """The run directory of a call; `by_name`: weights may be named in its place."""
    named = [value for flag, value in pairs if flag in ("--run", "--run-dir")]
    if not named:
        return default_path(*positional)
    return trained_folder(named[-1]) if by_name else Path(named[-1])


def _parse(parser: ArgumentParser, config: type | None, flags: Sequence[str], namespace: Any = None) -> Any:
    try:
        return parser.instantiate(parser.parse_args(list(flags), namespace=namespace))
    except ArgumentError as error:
        raise InputError(one_line(error, config)) from error


def _build(config: type, parsed: Any) -> Any:
    return config(**{item.name: parsed[item.name] for item in fields(config)})
