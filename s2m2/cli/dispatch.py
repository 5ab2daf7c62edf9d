"""One call of the command line: help, or the command's function with its settings; every error is one line."""

import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from s2m2 import __version__
from s2m2.cli.help import print_help, print_overview
from s2m2.cli.parsing import HELP_FLAGS, Call, UsageError, parse_recipe, parse_settings
from s2m2.cli.preflight import check_recipe, check_settings
from s2m2.cli.setting_list import write
from s2m2.cli.subcommands import COMMANDS, FEATURE_FILE_TARGET
from s2m2.console import duration, encodable, first_named, told, tolerate
from s2m2.errors import InputError, did_you_mean, is_out_of_memory
from s2m2.recipe import FeatureFileConfig, ProfileConfig, recipe_to_yaml

INPUT_ERROR, FAILURE, INTERRUPTED = 2, 1, 130
TRAINING = ("run", "pretrain", "finetune")
"""Commands that compare a training with what is expected of its recipe file."""
SILENT = ("serve", "table")
"""Commands that do not tell that they are at work: one is for hours, and what the other prints is a file for programs."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve one call and return its exit code: 0, 2 for wrong input, 1 for a run that failed or findings, 130 when interrupted."""
    tolerate(sys.stdout)
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0] if arguments else "--help"
    if name not in COMMANDS and not name.startswith("-"):
        others = did_you_mean(name, COMMANDS) or f"; there are {', '.join(COMMANDS)}"
        print(f"s2m2: no command {encodable(name)}{others}", file=sys.stderr)
        return INPUT_ERROR
    return _guarded(name, arguments[1:])


def _guarded(name: str, arguments: Sequence[str]) -> int:
    """The exit code of a command; its errors are printed."""
    try:
        code = _serve(name, arguments) or 0
        sys.stdout.flush()
        return code
    except InputError as error:
        return _complain(name, error, INPUT_ERROR, by_all=name in COMMANDS and COMMANDS[name].alone)
    except FloatingPointError as error:
        return _complain(name, error, FAILURE)
    except BrokenPipeError:  # the reader, `head` say, has what it wants; nothing more can be printed, at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        quiet = name not in COMMANDS or name == "settings" or any(word.startswith(("-h", "--help")) for word in arguments)
        return 0 if quiet else _complain(name, f"standard output was closed; {COMMANDS[name].interrupted}", FAILURE)
    except OSError as error:  # a full disk, a folder that may not be read
        return _complain(name, f"{error.filename or 'a file'} cannot be used: {error.strerror or error}", INPUT_ERROR)
    except (RuntimeError, MemoryError) as error:
        return _complain(name, _torch_failure(name, error), FAILURE, by_all=True)  # the first process may be the one that is gone
    except KeyboardInterrupt:
        return _complain(name, f"interrupted; {COMMANDS[name].interrupted}", INTERRUPTED)


def _print_help(name: str, arguments: Sequence[str]) -> bool:
    """Print the help or the version that a call asks for; False if it asks for neither."""
    if name in HELP_FLAGS:
        print_overview()
    elif name == "--version":
        write(f"s2m2 {__version__}")
    elif name not in COMMANDS:
        raise UsageError(f"has no flag {name} without a command; there are {', '.join(COMMANDS)}")
    elif any(word in HELP_FLAGS for word in arguments):
        print_help(name, everything="--help.all" in arguments)
    else:
        return False
    return True


def _serve(name: str, arguments: Sequence[str]) -> int | None:
    if _print_help(name, arguments):
        return None
    command = COMMANDS[name]
    if name == "settings":
        if len(arguments) > 1:
            raise UsageError(f"takes one SECTION, but was given {' and '.join(arguments)}")
        return _call(command.target, *(word.removeprefix("--") for word in arguments))
    if not command.sections:
        settings = parse_settings(name, command, arguments)
        check_settings(settings)
        return _call(command.target, settings)
    call = parse_recipe(name, command, arguments)
    for warning in call.warnings:
        _complain(name, f"warning: {warning}", 0)
    if call.prints:
        write(recipe_to_yaml(call.recipe).rstrip())
        return None
    of_file = isinstance(call.options, FeatureFileConfig) and call.options != FeatureFileConfig()
    if isinstance(call.options, FeatureFileConfig) and of_file:
        _check_features(call.options, arguments)
    check_recipe(name, call.recipe, call.run, call.options)
    _tell_of_unused(name, call, has_run=command.has_run and not of_file)
    if isinstance(call.options, ProfileConfig):
        return _call(command.target, call.recipe, **asdict(call.options))
    if isinstance(call.options, FeatureFileConfig) and call.options.features is not None:
        return _evaluate_features(call, call.options, call.options.features)
    if call.expected is not None and name in TRAINING:
        return _call(command.target, call.recipe, call.run, expected=call.expected)
    return _call(command.target, call.recipe, call.run)


def _tell_of_unused(name: str, call: Call, *, has_run: bool) -> None:
    """A line on flags that do not concern the command; a new run keeps them in its recipe, for the command that they concern."""
    if not call.unused or not _is_first_process():
        return
    kept = ""
    if has_run:
        begun = (call.run / "recipe.yaml").is_file()
        those = "it" if len(call.unused) == 1 else "them"
        kept = "; the run keeps the recipe that it has" if begun else f"; the recipe of a new run keeps {those} for other commands"
    write(f"{name}: no use for {first_named(call.unused)}{kept}")


def _check_features(options: FeatureFileConfig, arguments: Sequence[str]) -> None:
    """Raise `UsageError` unless the flags are those of `evaluate --features`."""
    if options.features is None:
        flag = next(name for name, value in asdict(options).items() if value is not None)
        raise UsageError(f"--{flag} goes with --features; a run has a directory and classes of its own")
    if any(word.partition("=")[0] in ("--run", "--run-dir") for word in arguments):
        raise UsageError("takes --run or --features, not both: features of a file have no run")


def _evaluate_features(call: Call, options: FeatureFileConfig, features: Path) -> int | None:
    """`evaluate --features`: features of a file in place of a run."""
    beside = {"base": options.base_features, "validation": options.validation_features}
    output = options.output or Path(f"{features.stem}-results")
    return _call(FEATURE_FILE_TARGET, call.recipe, features, output, **{key: file for key, file in beside.items() if file is not None})


def _call(target: str, *arguments: Any, **settings: Any) -> int | None:
    """Import a function, and with it what it needs, and call it; it may return an exit code."""
    module, _, function = target.partition(":")
    start, name = time.monotonic(), function.split("_")[0]
    shown = name not in SILENT and _is_first_process()
    with told(lambda: f"{name}: at work for {duration(time.monotonic() - start)}", shown=shown):
        code: int | None = getattr(import_module(module), function)(*arguments, **settings)
    return code


def _torch_failure(name: str, error: Exception) -> str:
    """What to say of an error of torch that a user can do something about; any other is raised again."""
    kind = type(error).__name__
    if is_out_of_memory(error):
        where = "device memory" if "CUDA" in str(error) or "MPS" in str(error) or kind == "OutOfMemoryError" else "memory"
        asked = re.search(r"(?:tr(?:ied|ying)|[Uu]nable) to allocate ([\d.]+) ?([a-zA-Z]+)", str(error))
        amount = f"{int(asked[1]) / 1e9:,.2f} GB" if asked and asked[2] == "bytes" else f"{asked[1]} {asked[2]}" if asked else ""
        need = f": {amount} more were asked for" if amount else ""
        return f"out of {where}{need}; a smaller batch_size, or --runtime.precision bf16-mixed where it is not on, needs less"
    if kind in ("DistBackendError", "DistNetworkError") or "gloo" in str(error):
        return f"another process of this run ended or cannot be reached; {COMMANDS[name].interrupted}"
    raise error


def _complain(name: str, error: object, code: int, *, by_all: bool = False) -> int:
    # Of several processes that fail alike, one on each machine says why: what is wrong may be wrong on that machine alone.
    if by_all or _is_first_process():
        print(f"s2m2 {name}: {encodable(' '.join(str(error).splitlines()))}", file=sys.stderr)  # a file's name may hold a line break
    return code


def _is_first_process() -> bool:
    """Of those on this machine."""
    return os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")) == "0"
