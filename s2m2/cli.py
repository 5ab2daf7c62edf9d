"""The command line: subcommands, their flags from the settings, and every error as one line.

Only what a call needs is built and imported: help answers before torch is touched.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from s2m2 import __version__
from s2m2.errors import InputError, is_out_of_memory
from s2m2.serving import Command, serve_compare, serve_doctor, serve_export, serve_import, serve_prepare, serve_profile, serve_run

INPUT_ERROR, FAILURE, INTERRUPTED = 2, 1, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Serve one call and return its exit code: 0, 2 for wrong input, 1 for a run that failed or findings, 130 when interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "--version"):
        _overview().parse_args(arguments[:1] or ["--help"])  # prints and leaves
    name = arguments[0]
    if name not in COMMANDS:
        print(f"s2m2: no command {name}; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return INPUT_ERROR
    try:
        return COMMANDS[name].serve(COMMANDS[name], name, arguments[1:]) or 0
    except InputError as error:
        return _complain(name, error, INPUT_ERROR)
    except FloatingPointError as error:
        return _complain(name, error, FAILURE)
    except OSError as error:  # a full disk, a folder that may not be read
        return _complain(name, f"{error.filename or 'a file'} cannot be used: {error.strerror or error}", INPUT_ERROR)
    except RuntimeError as error:
        return _complain(name, _known_failure(name, error), FAILURE, by_all=True)  # the first process may be the one that is gone
    except KeyboardInterrupt:
        return _complain(name, f"interrupted; {COMMANDS[name].interrupted}", INTERRUPTED)


def _known_failure(name: str, error: RuntimeError) -> str:
    """What to say of an error of torch that a user can do something about; any other is raised again."""
    kind = type(error).__name__
    if is_out_of_memory(error):
        return "out of device memory; a smaller batch_size, or --runtime.precision bf16-mixed, needs less"
    if kind in ("DistBackendError", "DistNetworkError") or "gloo" in str(error):
        return f"another process of this run ended or cannot be reached; {COMMANDS[name].interrupted}"
    raise error


def _complain(name: str, error: object, code: int, *, by_all: bool = False) -> int:
    # Of several processes that fail alike, one on each machine says why: what is wrong may be wrong on that machine alone.
    if by_all or os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")) == "0":
        print(f"s2m2 {name}: {' '.join(str(error).splitlines())}", file=sys.stderr)  # a file's name may hold a line break
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


RUN_USAGE = "s2m2 {} [RECIPE] [--run DIR] [--SETTING VALUE ...]"
COMMANDS = {
    "prepare": Command(
        summary="Turn a folder of images into a dataset that training reads.",
        usage="s2m2 prepare SOURCE [--output DIR] [--SETTING VALUE ...]",
        serve=serve_prepare,
        interrupted="the same command continues with the images decoded so far, if there were any",
    ),
    "doctor": Command(
        summary="Look at every image of a dataset: counts, damaged files, duplicates, classes too small, a contact sheet.",
        usage="s2m2 doctor DATA [--output FILE.html] [--SETTING VALUE ...]",
        serve=serve_doctor,
        interrupted="nothing was written",
    ),
    "import": Command(
        summary="Turn a checkpoint or features that S2M2's authors released into a run or a feature file.",
        usage="s2m2 import FILE --output PATH [--SETTING VALUE ...]",
        serve=serve_import,
        interrupted="the same command begins anew, in another output",
    ),
    "pretrain": Command(
        summary="Stage 1: train a backbone on base classes with self-supervision.", usage=RUN_USAGE.format("pretrain"), serve=serve_run
    ),
    "finetune": Command(
        summary="Stage 2: fine-tune it with manifold mixup, stopping by the validation score.",
        usage=RUN_USAGE.format("finetune"),
        serve=serve_run,
    ),
    "evaluate": Command(
        summary="Score few-shot tasks of novel classes, or the features of a file.",
        usage="s2m2 evaluate [RECIPE] [--run DIR | --features FILE] [--SETTING VALUE ...]",
        serve=serve_run,
    ),
    "analyze": Command(
        summary="Measure the representation of a trained run: entanglement, flatness, calibration, an attack, labels learned by heart.",
        usage=RUN_USAGE.format("analyze"),
        serve=serve_run,
        interrupted="nothing was written",
    ),
    "profile": Command(
        summary="Time the parts of a training step of both stages on this machine.",
        usage="s2m2 profile [RECIPE] [--steps N] [--repeats N] [--output FILE.json] [--SETTING VALUE ...]",
        serve=serve_profile,
        interrupted="nothing was written",
    ),
    "compare": Command(
        summary="Compare two results, heads, stages or runs on the same tasks, in pairs.",
        usage="s2m2 compare A [B] [--heads HEAD [HEAD]] [--features NAME [NAME]] [--output FILE.csv|FILE.md]",
        serve=serve_compare,
        interrupted="nothing was written",
    ),
    "export": Command(
        summary="Write the weights of a run with a model card into a folder to give away.",
        usage="s2m2 export --run DIR --output DIR [--SETTING VALUE ...]",
        serve=serve_export,
        interrupted="nothing was written",
    ),
    "run": Command(
        summary="All three stages and a report; without a recipe, the embedded quick one.", usage=RUN_USAGE.format("run"), serve=serve_run
    ),
}
