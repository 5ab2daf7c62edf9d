"""`s2m2 import`: released checkpoints become run directories, released features become feature files."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from torch import Tensor

from s2m2.console import console
from s2m2.errors import InputError
from s2m2.evaluation.feature_files import ENDINGS, write_feature_file
from s2m2.evaluation.released_features import read_released_features
from s2m2.files import write_text
from s2m2.models.authors import ReleasedWeights, translate
from s2m2.models.wide_resnet import OWN_WIDTH
from s2m2.recipe import DataConfig, EvaluateConfig, ImportConfig, ModelConfig, Recipe, recipe_to_yaml
from s2m2.runs.checkpoint import Outcome, save_outcome, save_tensors
from s2m2.runs.directory import RunDirectory
from s2m2.runs.provenance import record
from s2m2.runs.released import is_torch_file, read_released

RESIZE = 1.15
"""The authors evaluate on the center of an image of 92 pixels, or 36 for CIFAR-FS."""
MANY_OUTPUTS, SCALE, LARGE_SCALE = 200, 2.0, 10.0
"""The authors multiply cosines by 10 where a head has more outputs than 200, else by 2."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Where the weights of a run came from."""

    source: str
    """Name of the file."""
    sha256: str
    """Its digest, hexadecimal."""
    stage: str
    epoch: int
    """Epochs trained, as the file counts them."""
    width: int
    """Channels of the first stage of its WRN-28."""
    outputs: int | None
    """Classes of its head; None without one."""
    created: str
    """When it was imported, as ISO 8601."""


def import_command(config: ImportConfig) -> None:
    """Import a file and say what it was.

    Raises:
        InputError: the file is not what it should be, or the output is there already.
    """
    checkpoint = is_torch_file(config.source) if config.kind == "auto" else config.kind == "checkpoint"
    if checkpoint:
        _import_checkpoint(config)
    else:
        _import_features(config)


def _import_features(config: ImportConfig) -> None:
    if config.output.suffix not in ENDINGS:
        raise InputError(f"--output {config.output} is to hold features, so its name must end in {' or '.join(ENDINGS)}")
    if config.output.exists():
        raise InputError(f"--output {config.output} is there already")
    dataset = read_released_features(config.source)
    write_feature_file(config.output, dataset)
    rows, dim = dataset.features.shape
    console.print(f"{rows:,} features of {dim} numbers, {len(dataset.class_names):,} classes")
    console.print(f"features in {config.output}; `s2m2 evaluate --features {config.output}` scores them", soft_wrap=True, markup=False)


def _import_checkpoint(config: ImportConfig) -> None:
    path = config.output
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"--output {path} is there already; name a directory that is to be made")
    released = read_released(config.source)
    try:
        weights = translate(released.state, released.rotate)
    except InputError as error:
        raise InputError(f"{config.source} {error}") from error
    facts = Imported(
        source=config.source.name,
        sha256=hashlib.sha256(config.source.read_bytes()).hexdigest(),
        stage=config.stage,
        epoch=released.epoch,
        width=weights.width,
        outputs=weights.outputs,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    _write_run(RunDirectory(path), config, weights, facts)
    heads = f"a head of {facts.outputs} outputs" if facts.outputs is not None else "no head"
    console.print(f"WRN-28 of width {weights.width} after {released.epoch} epochs, {heads}")
    console.print(f"run in {path}; `s2m2 evaluate --run {path} --data.path TABLE` scores it", soft_wrap=True, markup=False)


def _write_run(run: RunDirectory, config: ImportConfig, weights: ReleasedWeights, facts: Imported) -> None:
    write_text(run.recipe, recipe_to_yaml(imported_recipe(config, weights)))
    record(run, imported=vars(facts))
    about = {"stage": facts.stage, "epoch": facts.epoch, "source": facts.source, "sha256": facts.sha256}
    save_tensors(run.best(facts.stage), _tensors(weights, facts.stage), about)
    write_text(run.imported, json.dumps(vars(facts), indent=2) + "\n")
    # The outcome comes last, as it says that there is something to score.
    save_outcome(run.outcome(facts.stage), Outcome(epochs=facts.epoch, best_epoch=facts.epoch, imported=facts.source))


def imported_recipe(config: ImportConfig, weights: ReleasedWeights) -> Recipe:
    """The recipe of an imported run: what the file and the flags tell, and the defaults for what nothing tells."""
    scale = LARGE_SCALE if (weights.outputs or 0) > MANY_OUTPUTS else SCALE
    width = weights.width if weights.width != OWN_WIDTH else None
    return Recipe(
        data=DataConfig(path=config.dataset, image_size=config.image_size, resize_ratio=RESIZE),
        model=ModelConfig(backbone="wrn28_10", width=width, dropout=0.5, scale=scale),
        evaluate=EvaluateConfig(features=(config.stage,)),
    )


def _tensors(weights: ReleasedWeights, stage: str) -> dict[str, Tensor]:
    """The weights under the names that a stage of ours writes; heads of its objective, `Rotation`, where the file has them."""
    inner = "objective.beside." if stage == "finetune" else "objective."
    parts = {"backbone.": weights.backbone, f"{inner}class_head.": weights.class_head, f"{inner}rotation_head.": weights.rotation_head}
    return {f"{prefix}{name}": value for prefix, part in parts.items() for name, value in (part or {}).items()}
