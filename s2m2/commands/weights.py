"""`s2m2 export` and `s2m2 import`: weights for others, and weights of S2M2's authors."""

from pathlib import Path

from s2m2.console import console, literal
from s2m2.errors import InputError
from s2m2.evaluation.feature_files import ENDINGS, read_feature_file, write_feature_file
from s2m2.evaluation.feature_formats import holds_features
from s2m2.evaluation.features import FeatureSet
from s2m2.recipe import ExportConfig, ImportConfig
from s2m2.reports.card import score_command
from s2m2.reports.exporting import export_run
from s2m2.runs.import_run import import_run
from s2m2.runs.importing import import_checkpoint, is_torch_file


def export_command(config: ExportConfig) -> None:
    """Write the folder, and print its size and the command that scores it.

    Raises:
        InputError: the run has no such weights, they do not fit the precision, or the folder exists or cannot be written.
    """
    export = export_run(config)
    if export.uncounted:
        console.print(f"warning: the card counts no images: {export.uncounted}", markup=False, soft_wrap=True)
    count = export.results
    scores = f"{count:,} score{'s' if count != 1 else ''}" if count else "no scores, as the run holds none of them"
    console.print(f"{export.stage} in {export.precision}, a model card with {scores}", markup=False, soft_wrap=True)
    _print_largest(export.folder)
    console.print(f"`{score_command(str(export.folder), export.missing)}` scores it", markup=False, soft_wrap=True)


def _print_largest(folder: Path) -> None:
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    largest = max(sizes, key=lambda path: sizes[path])
    size = f"{sizes[largest] / 2**20:.2f} MiB of {sum(sizes.values()) / 2**20:.2f}"
    console.print(f"largest file: {largest}, {size}", markup=False, soft_wrap=True)


def import_command(config: ImportConfig) -> None:
    """Import a file and print what it was.

    Raises:
        InputError: the file is not what it should be, or the output exists.
    """
    if config.source.is_dir():
        stage = import_run(config)
        hint = f"run in {config.output}, with the weights of {stage} as those of {config.stage}"
        console.print(literal(f"{hint}; `s2m2 {_next(config)} --run {config.output} --data.path DATASET` goes on"), soft_wrap=True)
        return
    if config.kind == "features" or (config.kind == "auto" and _holds_features(config.source)):
        dataset = import_features(config)
        count, dim = dataset.features.shape
        console.print(f"{count:,} features of {dim} numbers, {len(dataset.class_names):,} classes")
        hint = f"features in {config.output}; `s2m2 evaluate --features {config.output}` scores them"
        console.print(hint, soft_wrap=True, markup=False)
        return
    source = import_checkpoint(config)
    head = f"a head of {source.outputs} outputs" if source.outputs is not None else "no head"
    console.print(f"WRN-28 of width {source.width} after {source.epoch} epochs, {head}")
    hint = f"run in {config.output}; `s2m2 evaluate --run {config.output} --data.path DATASET` scores it"
    console.print(hint, soft_wrap=True, markup=False)


def _next(config: ImportConfig) -> str:
    return "finetune" if config.stage == "pretrain" else "evaluate"


def _holds_features(path: Path) -> bool:
    """Whether a file is not a checkpoint; one that is damaged is what its first bytes say."""
    try:
        return holds_features(path) or not is_torch_file(path)
    except InputError:
        return not is_torch_file(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def import_features(config: ImportConfig) -> FeatureSet:
    """Write a feature file with the features of a file of another format.

    Raises:
        InputError: the source holds no features, or the output exists or has another suffix.
    """
    if config.output.suffix not in ENDINGS:
        raise InputError(f"--output {config.output} is to hold features, so its name must end in {' or '.join(ENDINGS)}")
    if config.output.exists():
        raise InputError(f"--output {config.output} is there already")
    dataset = read_feature_file(config.source)
    write_feature_file(config.output, dataset)
    return dataset
