"""What serves each subcommand: its settings are parsed, then what it needs is imported and called."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from s2m2.arguments import UsageError, list_flags, sort_arguments
from s2m2.errors import InputError

Settings = TypeVar("Settings")
FEATURE_FLAGS = {
    "--features": "Features to score in place of a run: .npz with the arrays `features` and `labels`, or .safetensors; by default: none.",
    "--base-features": "With --features: features of the base classes, for heads and transforms that draw on them; by default: none.",
    "--validation-features": "With --features: those of the validation classes, to choose temperature and threshold on; by default: none.",
    "--output": "Directory of the results of --features; by default: the file's name with -results, in the current directory.",
}
"""Of `evaluate` alone, and what help says of them."""
PROFILE_FLAGS = {
    "--steps": (20, "Steps of a repeat."),
    "--repeats": (3, "Repeats of bare and of whole steps, by turns, after one of each that is not counted."),
}
"""Of `profile` alone: default, and what help says."""
RUN_FLAGS = ("--run", "--run-dir")
"""The second one is for `torchrun`, which takes the first for an abbreviation of a flag of its own."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A subcommand: its line in the overview, how it is called, and what serves it."""

    summary: str
    usage: str
    serve: Callable[["Command", str, Sequence[str]], int | None]
    """Returns an exit code; None: 0."""
    interrupted: str = "the same command continues from the last checkpoint"
    """What is said after Ctrl-C."""


def serve_run(command: Command, name: str, arguments: Sequence[str]) -> None:
    """`pretrain`, `finetune`, `evaluate`, `analyze`, `run`: a recipe, a run directory, and flags over the recipe."""
    parser = _recipe_parser(command, name)
    parser.add_argument(*RUN_FLAGS, type=str, default=argparse.SUPPRESS, help="Directory of the run; by default: runs/NAME of the recipe.")
    own_flags = FEATURE_FLAGS if name == "evaluate" else {}
    for flag, text in own_flags.items():
        parser.add_argument(flag, type=str, default=argparse.SUPPRESS, help=text)
    positional, flags = sort_arguments(arguments, list_flags(parser))
    recipe_file = _at_most_one(positional, "RECIPE")
    if any(flag in flags for flag in own_flags):
        _serve_features(_parse_recipe(parser, recipe_file, flags), flags)
        return
    path = _run_path(flags, recipe_file)
    kept = path / "recipe.yaml"
    source = recipe_file or (str(kept) if kept.is_file() else None)
    recipe = _parse_recipe(parser, source, flags)

    from s2m2.commands.stages import STAGES

    STAGES[name](recipe, path)


def serve_profile(command: Command, name: str, arguments: Sequence[str]) -> None:
    """`profile`: a recipe, and flags over it; there is no run."""
    parser = _recipe_parser(command, name)
    for flag, (value, text) in PROFILE_FLAGS.items():
        parser.add_argument(flag, type=int, default=value, help=text)
    parser.add_argument("--output", type=str, default=argparse.SUPPRESS, help="JSON file of the figures; by default they are only printed.")
    positional, flags = sort_arguments(arguments, list_flags(parser))
    recipe = _parse_recipe(parser, _at_most_one(positional, "RECIPE"), flags)
    steps, repeats = (int(_value(flags, flag) or value) for flag, (value, _) in PROFILE_FLAGS.items())
    output = _value(flags, "--output")

    from s2m2.commands.profiling import profile_command

    profile_command(recipe, steps=steps, repeats=repeats, output=Path(output) if output else None)


def _recipe_parser(command: Command, name: str) -> Any:
    """A parser of every setting of a recipe, from flags and from files."""
    from s2m2.recipe import recipe_parser

    parser = recipe_parser(prog=f"s2m2 {name}", usage=command.usage, description=command.summary, add_help=True)
    parser.add_argument("--config", action="config", help="the recipe, as a flag")
    return parser


def _parse_recipe(parser: Any, source: str | None, flags: Sequence[str]) -> Any:
    """The recipe of a file, where there is one, with flags over it."""
    import yaml

    from s2m2.recipe import build_recipe, read_recipe

    if source is not None:
        read_recipe(Path(source))  # what is wrong in the file is said with its name
    stated = source is not None and bool(yaml.safe_load(Path(source).read_text(encoding="utf-8")))
    return build_recipe(_parse(parser, [*(["--config", str(source)] if stated else []), *flags]))


def _serve_features(recipe: Any, flags: Sequence[str]) -> None:
    """`evaluate --features`: features of a file in place of a run."""
    features, base, validation, output = (_value(flags, flag) for flag in FEATURE_FLAGS)
    if features is None:
        given = next(flag for flag in FEATURE_FLAGS if flag in flags)
        raise UsageError(f"{given} goes with --features; a run has a directory and classes of its own")
    if any(flag in flags for flag in RUN_FLAGS):
        raise UsageError("takes --run or --features, not both: features of a file have no run")

    from s2m2.commands.feature_file import evaluate_feature_file

    beside = {name: Path(file) for name, file in (("base", base), ("validation", validation)) if file is not None}
    evaluate_feature_file(recipe, Path(features), Path(output or f"{Path(features).stem}-results"), **beside)


def serve_prepare(command: Command, name: str, arguments: Sequence[str]) -> None:
    """`prepare`: images on disk become a dataset."""
    from s2m2.recipe import PrepareConfig

    config = _settings(PrepareConfig, command, name, arguments, {"source": "SOURCE"})

    from s2m2.commands.prepare import prepare_command

    prepare_command(config)


def serve_import(command: Command, name: str, arguments: Sequence[str]) -> None:
    """`import`: files that S2M2's authors released."""
    from s2m2.recipe import ImportConfig

    config = _settings(ImportConfig, command, name, arguments, {"source": "FILE"})

    from s2m2.commands.importing import import_command

    import_command(config)


def serve_export(command: Command, name: str, arguments: Sequence[str]) -> None:
    """`export`: weights of a run to give away."""
    from s2m2.recipe import ExportConfig

    config = _settings(ExportConfig, command, name, arguments, {"run": "DIR"})

    from s2m2.commands.exporting import export_command

    export_command(config)


def serve_doctor(command: Command, name: str, arguments: Sequence[str]) -> int:
    """`doctor`: what is wrong with images; the exit code says it too."""
    from s2m2.recipe import DoctorConfig

    config = _settings(DoctorConfig, command, name, arguments, {"data": "DATA"})

    from s2m2.commands.doctor import doctor_command

    return doctor_command(config)


def serve_compare(command: Command, name: str, arguments: Sequence[str]) -> None:
    """`compare`: two results, in pairs."""
    from s2m2.recipe.comparison import CompareConfig

    config = _settings(CompareConfig, command, name, arguments, {"first": "A", "second": "B"})

    from s2m2.commands.comparison import compare_command

    compare_command(config)


def _settings(kind: type[Settings], command: Command, name: str, arguments: Sequence[str], places: Mapping[str, str]) -> Settings:
    """The settings of a command that has its own; `places` are those that may stand without a flag, and their names in the usage."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(prog=f"s2m2 {name}", usage=command.usage, description=command.summary, exit_on_error=False, allow_abbrev=False)
    parser.add_class_arguments(kind)
    positional, flags = sort_arguments(arguments, list_flags(parser))
    if len(places) == 1:
        _at_most_one(positional, *places.values())
    elif len(positional) > len(places):
        raise UsageError(f"takes {' and '.join(places.values())}, but was given {' and '.join(positional)}")
    given = [word for place, value in zip(places, positional, strict=False) for word in (f"--{place}", value)]
    parsed = _parse(parser, [*given, *flags])
    return kind(**{item.name: parsed[item.name] for item in fields(kind)})  # type: ignore[arg-type]  # a dataclass


def _parse(parser: Any, arguments: Sequence[str]) -> Any:
    from jsonargparse import ArgumentError

    from s2m2.recipe import one_line

    try:
        return parser.instantiate(parser.parse_args(list(arguments)))
    except ArgumentError as error:
        raise InputError(one_line(error)) from error


def _at_most_one(positional: Sequence[str], name: str) -> str | None:
    if len(positional) > 1:
        raise UsageError(f"takes one {name}, but was given {' and '.join(positional)}")
    return positional[0] if positional else None


def _run_path(flags: Sequence[str], recipe_file: str | None) -> Path:
    for flag in RUN_FLAGS:
        named = _value(flags, flag)
        if named is not None:
            return Path(named)
    if recipe_file is None:
        return Path("runs", "quick")
    recipe = Path(recipe_file).resolve()
    return Path("runs", f"{recipe.parent.name}-{recipe.stem}")


def _value(flags: Sequence[str], flag: str) -> str | None:
    """What follows a flag, the last time that it is given."""
    return flags[len(flags) - flags[::-1].index(flag)] if flag in flags else None
