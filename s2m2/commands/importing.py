"""`s2m2 import`: released checkpoints become run directories, released features become feature files."""

from s2m2.console import console
from s2m2.errors import InputError
from s2m2.evaluation.feature_files import ENDINGS, read_released_features, write_feature_file
from s2m2.evaluation.features import FeatureSet
from s2m2.recipe import ImportConfig
from s2m2.runs.importing import import_checkpoint, is_torch_file


def import_command(config: ImportConfig) -> None:
    """Import a file and print what it was.

    Raises:
        InputError: the file is not what it should be, or the output exists.
    """
    checkpoint = is_torch_file(config.source) if config.kind == "auto" else config.kind == "checkpoint"
    if not checkpoint:
        dataset = import_features(config)
        count, dim = dataset.features.shape
        console.print(f"{count:,} features of {dim} numbers, {len(dataset.class_names):,} classes")
        hint = f"features in {config.output}; `s2m2 evaluate --features {config.output}` scores them"
        console.print(hint, soft_wrap=True, markup=False)
        return
    source = import_checkpoint(config)
    head = f"a head of {source.outputs} outputs" if source.outputs is not None else "no head"
    console.print(f"WRN-28 of width {source.width} after {source.epoch} epochs, {head}")
    hint = f"run in {config.output}; `s2m2 evaluate --run {config.output} --data.path TABLE` scores it"
    console.print(hint, soft_wrap=True, markup=False)


def import_features(config: ImportConfig) -> FeatureSet:
    """Write a feature file with released features.

    Raises:
        InputError: the source holds no such features, or the output exists or has another suffix.
    """
    if config.output.suffix not in ENDINGS:
        raise InputError(f"--output {config.output} is to hold features, so its name must end in {' or '.join(ENDINGS)}")
    if config.output.exists():
        raise InputError(f"--output {config.output} is there already")
    dataset = read_released_features(config.source)
    write_feature_file(config.output, dataset)
    return dataset
