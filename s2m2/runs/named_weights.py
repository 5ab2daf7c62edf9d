"""Weights that have a name: which there are, where their folders lie, and that a file is the one that is meant. Imports no torch.

The folders, as `s2m2 export` writes them, are in `weights/` of the repository and not in the package. A new one is a folder there
and a line in `SHA256`; `python -m benchmarks.publish_weights` makes both.
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from s2m2.arguments import path_argument
from s2m2.console import console, literal
from s2m2.errors import InputError, did_you_mean
from s2m2.io import create_folder, reading
from s2m2.runs.directory import STAGES, RunDirectory

SHA256: dict[str, str] = {
    "cifar_fs_resnet12_short": "51b98dc4d2eae1d9ca1bb096099f1422f655c184b21cc332248c4fbe3e39bf82",
}
"""Every name, with the SHA-256 of its weights file."""
MAX_BYTES = 16 * 2**20
"""Size of a weights file in the repository at most."""
VARIABLE = "S2M2_WEIGHTS"
"""Environment variable with a folder that holds the folders of weights, for installations without the repository."""
CHECKOUT = Path(__file__).resolve().parents[2]
"""The repository, where the package runs from one."""
SHOWN = 16
"""Digits of a digest in a message."""


def trained_folder(source: Any, argument: str = "source") -> Path:
    """The folder of a trained network: of the weights of a name, or a path as it stands.

    Only text can be a name; a `Path`, and text with a separator such as `./NAME`, is always a path. A name always means the weights with
    its digest: a folder of that name in the working directory is used if it holds these, and is an error if it holds others.

    Raises:
        InputError: the weights of the name are not here or are others, or `source` is neither text nor a path.
    """
    return _folder_of(source) if isinstance(source, str) and source in SHA256 else path_argument(argument, source)


def meant(word: Any) -> str:
    """`; did you mean ...?` for a name that is close to that of weights; else empty."""
    return did_you_mean(str(word), SHA256)


def list_of_names() -> str:
    """The names for a help text."""
    return ", ".join(SHA256) or "none yet"


def places() -> list[Path]:
    """Folders that hold the folders of weights: that of the repository, and that of the environment variable."""
    checkout = [CHECKOUT / "weights"] if (CHECKOUT / "pyproject.toml").is_file() else []
    stated = os.environ.get(VARIABLE)
    return [*checkout, *([Path(stated).expanduser()] if stated else [])]


def _folder_of(name: str) -> Path:
    here = Path(name)
    if RunDirectory(here).recipe.is_file():
        if digest_of(here) == SHA256[name]:
            return here
        raise InputError(
            f"{name} is the name of weights, and a folder here that holds others; ./{name} is the folder, and the name is theirs "
            "in any other working directory"
        )
    for place in places():
        folder = place / name
        if RunDirectory(folder).recipe.is_file():
            digest = digest_of(folder)
            if digest != SHA256[name]:
                found = f"SHA-256 {digest[:SHOWN]}, not {SHA256[name][:SHOWN]}" if digest else "no weights"
                raise InputError(f"{folder} is not the folder of the weights {name}: it has {found}; copy it again from the repository")
            return folder
    looked = " and ".join(map(str, places())) or "no folder, as the package does not run from its repository"
    raise InputError(
        f"the weights {name} are not here: looked in {looked}; clone the repository of s2m2, or copy its folder weights/{name} into a "
        f"folder that the environment variable {VARIABLE} names; names: {list_of_names()}"
    )


def weights_file(folder: Path) -> Path | None:
    """The weights of an export, those of its last stage; None where there are none."""
    files = [RunDirectory(folder).best(stage) for stage in STAGES]
    return next((file for file in reversed(files) if file.is_file()), None)


def digest_of(folder: Path) -> str:
    """SHA-256 of the weights file of an export, hexadecimal; empty where there is none.

    Raises:
        InputError: it cannot be read now.
    """
    file = weights_file(folder)
    if file is None:
        return ""
    with reading(file), file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def results_path(folder: Path) -> Path:
    """Where results of a run go: into its own directory, but for a folder among the named ones, which stays as it is, into `runs/NAME`."""
    run = RunDirectory(folder)
    kept = run.imported.is_file() and run.recipe.is_file() and folder.resolve().parent in [place.resolve() for place in places()]
    return Path("runs", folder.resolve().name) if kept else folder


def run_for_results(folder: Path, *, writes: bool) -> RunDirectory:
    """The run that takes results of a folder: itself, or a copy of named weights among the runs of the user, which a line names.

    Args:
        writes: make the copy, as the first process does.

    Raises:
        InputError: there is something else where the copy goes, or it cannot be written.
    """
    target = results_path(folder)
    if target != folder and writes:
        copied = "copied to" if _copy_weights(folder, target) else "in"
        console.print(literal(f"weights {target.name}: {copied} {target}, where results go"), soft_wrap=True)
    return RunDirectory(target)


def _copy_weights(folder: Path, target: Path) -> bool:
    """Copy what a run needs, unless it is there already; False then."""
    if target.exists() or target.is_symlink():
        if digest_of(target) != digest_of(folder):
            raise InputError(f"results of {folder} go to {target}, which holds something else; move that, or change the working directory")
        return False
    source, file = RunDirectory(folder), weights_file(folder)
    if file is None:
        raise InputError(f"{folder} is only part of an export: it has no weights")
    try:
        with create_folder(target) as temporary:
            for one in (source.recipe, source.imported, file, file.with_name("outcome.json")):
                copy = temporary / one.relative_to(folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(one, copy)
    except OSError as error:
        raise InputError(f"{target}, for results of {folder}, cannot be written: {error.strerror or error}") from error
    return True
