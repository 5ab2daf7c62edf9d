"""Make the folder `weights/NAME` of the repository from a finished run, and print the line that gives the weights their name.

The weights are exported in float16 and scored as they are stored, by the recipe of the run, so that the card's table is what
`s2m2 evaluate --run NAME` prints, to the digit on the same processor with one thread. Nothing is written if anything fails.

    python -m benchmarks.publish_weights runs/cifar_fs-long cifar_fs_resnet12 --data-license "see the authors of CIFAR-100"

Flags with a dot are settings of the evaluation, such as --data.path where the images have moved, and --runtime.threads.
"""

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from s2m2.errors import InputError
from s2m2.io import create_folder, write_text
from s2m2.pipeline import evaluate_run
from s2m2.recipe import ExportConfig, read_recipe
from s2m2.reports.exporting import CARD, export_run
from s2m2.runs.directory import RunDirectory
from s2m2.runs.named_weights import CHECKOUT, MAX_BYTES, digest_of, weights_file

LICENSE = "apache-2.0"
LOG = "training_log.jsonl"
"""The metrics of the training; not `metrics.jsonl`, by which a run knows that it was trained where it lies."""
NAME = re.compile(r"[a-z][a-z0-9_]*")


def publish(run: Path, name: str, license_name: str, data_license: str | None, folder: Path, settings: dict[str, Any]) -> str:
    """Write `folder/name`, and return the SHA-256 of its weights file.

    Raises:
        InputError: the run has no finished stage, the weights are too large, or the folder is there already.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"NAME is {name}, but must be lower-case letters, digits and _, a letter first")
    target = folder / name
    if target.exists():
        raise InputError(f"{target} is there already")
    with tempfile.TemporaryDirectory() as temporary:
        scored, whole = Path(temporary, "scored", name), Path(temporary, "whole", name)
        _export(run, scored, license_name, data_license)
        weights = weights_file(scored)
        assert weights is not None
        if weights.stat().st_size > MAX_BYTES:
            raise InputError(f"the weights take {weights.stat().st_size:,} bytes, but the repository takes {MAX_BYTES:,} at most")
        evaluate_run(path=scored, verbose=True, **{"data.path": read_recipe(run / "recipe.yaml").data.path, **settings})
        _export(run, whole, license_name, data_license, RunDirectory(scored))
        _add_records(RunDirectory(run), RunDirectory(scored), whole, license_name)
        if digest_of(whole) != digest_of(scored):
            raise InputError("the exported weights are not those that were scored; did the run change meanwhile?")
        with create_folder(target) as place:
            shutil.copytree(whole, place, dirs_exist_ok=True)
    return digest_of(target)


def _export(run: Path, output: Path, license_name: str, data_license: str | None, scored: RunDirectory | None = None) -> None:
    config = ExportConfig(run=run, output=output, precision="float16", license=license_name, data_license=data_license)
    export_run(config, scored)


def _add_records(run: RunDirectory, scored: RunDirectory, whole: Path, license_name: str) -> None:
    """What goes beside an export: log, scores, license."""
    if not run.metrics.is_file():
        raise InputError(f"{run.path} has no log {run.metrics.name}; weights are published from the run that trained them")
    shutil.copyfile(run.metrics, whole / LOG)
    for file in (scored.scores_csv, scored.scores_markdown):
        shutil.copyfile(file, whole / file.name)
    text = (CHECKOUT / "LICENSE").read_text(encoding="utf-8") if license_name == LICENSE else f"{license_name}\n"
    write_text(whole / "LICENSE", text)


def main(argv: Sequence[str] | None = None) -> int:
    """Make the folder; the exit code is 2 where that cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="directory of the finished run")
    parser.add_argument("name", help="name of the weights, such as cifar_fs_resnet12")
    parser.add_argument("--license", default=LICENSE, help="of the weights")
    parser.add_argument("--data-license", help="license or terms of the training images")
    parser.add_argument("--weights", type=Path, default=CHECKOUT / "weights", help="folder that gets the folder NAME")
    options, words = parser.parse_known_args(argv)
    if len(words) % 2 or not all(flag.startswith("--") and "." in flag for flag in words[::2]):
        parser.error(f"no flag {' '.join(words)}; settings have a dot, as --data.path FOLDER")
    settings = {flag.removeprefix("--"): yaml.safe_load(value) for flag, value in zip(words[::2], words[1::2], strict=True)}
    try:
        digest = publish(options.run, options.name, options.license, options.data_license, options.weights, settings)
    except InputError as error:
        print(f"publish_weights: {error}", file=sys.stderr)
        return 2
    print(f"{options.weights / options.name} is whole: read its {CARD}, then add to SHA256 in s2m2/runs/named_weights.py:")
    print(f'    "{options.name}": "{digest}",')
    return 0


if __name__ == "__main__":
    sys.exit(main())
