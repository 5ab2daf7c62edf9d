"""The command line: subcommands, their flags from the settings, and every error as one line.

Only what a call needs is built and imported: help answers before torch is touched.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from s2m2 import __version__
from s2m2.arguments import UsageError, list_flags, sort_arguments
from s2m2.errors import InputError

INPUT_ERROR, FAILURE, INTERRUPTED = 2, 1, 130


@dataclass(frozen=True, kw_only=True)
class Command:
    """A subcommand: its line in the overview, how it is called, and what serves it."""

    summary: str
    usage: str
    serve: Callable[["Command", str, Sequence[str]], None]
    interrupted: str = "the same command continues from the last checkpoint"
    """What is said after Ctrl-C."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve one call and return its exit code: 0, 2 for wrong input, 1 for a run that failed, 130 when interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "--version"):
        _overview().parse_args(arguments[:1] or ["--help"])  # prints and leaves
    name = arguments[0]
    if name not in COMMANDS:
        print(f"s2m2: no command {name}; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return INPUT_ERROR
    try:
        COMMANDS[name].serve(COMMANDS[name], name, arguments[1:])
    except InputError as error:
        return _complain(name, error, INPUT_ERROR)
    except FloatingPointError as error:
        return _complain(name, error, FAILURE)
    except OSError as error:  # a full disk, a folder that may not be read
        return _complain(name, f"{error.filename or 'a file'} cannot be used: {error.strerror or error}", INPUT_ERROR)
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":
            raise
        return _complain(name, "out of device memory; a smaller batch_size, or --runtime.precision bf16-mixed, needs less", FAILURE)
    except KeyboardInterrupt:
        return _complain(name, f"interrupted; {COMMANDS[name].interrupted}", INTERRUPTED)
    return 0


def _complain(name: str, error: object, code: int) -> int:
    if os.environ.get("RANK", "0") == "0":  # of several processes that fail alike, one says why
        print(f"s2m2 {name}: {error}", file=sys.stderr)
    return code


def _overview() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="s2m2",
        usage="s2m2 COMMAND [ARGUMENTS]",
        description="Few-shot image classification with self-supervised manifold mixup.",
        epilog=f"commands:\n{listing}\n\n`s2m2 COMMAND --help` lists the flags of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=list(COMMANDS), metavar="COMMAND", help="one of the commands below")
    parser.add_argument("--version", action="version", version=f"s2m2 {__version__}")
    return parser


def _serve_run(command: Command, name: str, arguments: Sequence[str]) -> None:
    """`pretrain`, `finetune`, `evaluate`, `run`: a recipe, a run directory, and flags over the recipe."""
    import yaml

    from s2m2.recipe import build_recipe, read_recipe, recipe_parser

    parser = recipe_parser(prog=f"s2m2 {name}", usage=command.usage, description=command.summary, add_help=True)
    parser.add_argument("--config", action="config", help="the recipe, as a flag")
    parser.add_argument(*RUN_FLAGS, type=str, default=argparse.SUPPRESS, help="Directory of the run; by default: runs/NAME of the recipe.")
    positional, flags = sort_arguments(arguments, list_flags(parser))
    recipe_file = _at_most_one(positional, "RECIPE")
    path = _run_path(flags, recipe_file)
    kept = path / "recipe.yaml"
    source = recipe_file or (str(kept) if kept.is_file() else None)
    if source is not None:
        read_recipe(Path(source))  # what is wrong in the file is said with its name
    stated = source is not None and bool(yaml.safe_load(Path(source).read_text(encoding="utf-8")))
    recipe = build_recipe(_parse(parser, [*(["--config", str(source)] if stated else []), *flags]))

    from s2m2.commands.stages import STAGES

    STAGES[name](recipe, path)


def _serve_prepare(command: Command, name: str, arguments: Sequence[str]) -> None:
    from jsonargparse import ArgumentParser

    from s2m2.recipe import PrepareConfig

    parser = ArgumentParser(prog=f"s2m2 {name}", usage=command.usage, description=command.summary, exit_on_error=False, allow_abbrev=False)
    parser.add_class_arguments(PrepareConfig)
    positional, flags = sort_arguments(arguments, list_flags(parser))
    source = _at_most_one(positional, "SOURCE")
    parsed = _parse(parser, [*(["--source", source] if source else []), *flags])
    config = PrepareConfig(**{item.name: parsed[item.name] for item in fields(PrepareConfig)})

    from s2m2.commands.prepare import prepare_command

    prepare_command(config)


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
        if flag in flags:
            return Path(flags[flags.index(flag) + 1])
    if recipe_file is None:
        return Path("runs", "quick")
    recipe = Path(recipe_file).resolve()
    return Path("runs", f"{recipe.parent.name}-{recipe.stem}")


RUN_FLAGS = ("--run", "--run-dir")
"""The second one is for `torchrun`, which takes the first for an abbreviation of a flag of its own."""
RUN_USAGE = "s2m2 {} [RECIPE] [--run DIR] [--SETTING VALUE ...]"
COMMANDS = {
    "prepare": Command(
        summary="Turn a folder of pictures into a table that training reads.",
        usage="s2m2 prepare SOURCE [--output DIR] [--SETTING VALUE ...]",
        serve=_serve_prepare,
        interrupted="nothing was written",
    ),
    "pretrain": Command(
        summary="Stage 1: train a backbone on base classes with self-supervision.", usage=RUN_USAGE.format("pretrain"), serve=_serve_run
    ),
    "finetune": Command(
        summary="Stage 2: fine-tune it with manifold mixup, stopping by the validation score.",
        usage=RUN_USAGE.format("finetune"),
        serve=_serve_run,
    ),
    "evaluate": Command(summary="Score few-shot tasks of novel classes.", usage=RUN_USAGE.format("evaluate"), serve=_serve_run),
    "run": Command(
        summary="All three stages and a report; without a recipe, the embedded quick one.", usage=RUN_USAGE.format("run"), serve=_serve_run
    ),
}
