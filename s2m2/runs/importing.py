"""Files released by S2M2's authors: torch checkpoints, read without running anything in them, become run directories."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from s2m2.errors import InputError
from s2m2.io import write_text
from s2m2.models.released import ReleasedWeights, translate
from s2m2.models.wide_resnet import DEFAULT_WIDTH
from s2m2.recipe import DataConfig, EvaluateConfig, ImportConfig, ModelConfig, Recipe, recipe_to_yaml
from s2m2.recipe.data import IMAGENET_MEAN, IMAGENET_STD
from s2m2.runs.checkpoint import Outcome, save_outcome, save_tensors
from s2m2.runs.directory import RunDirectory
from s2m2.runs.provenance import record
from s2m2.runs.torch_files import OLD_TORCH_MAGIC, ZIP_MAGIC, load_torch_file

RESIZE_RATIO = 1.15
"""The authors evaluate on the center of an image of 92 pixels, or 36 for CIFAR-FS."""
MANY_OUTPUTS, SCALE, LARGE_SCALE = 200, 2.0, 10.0
"""The authors multiply cosines by 10 where a head has more outputs than 200, else by 2."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReleasedCheckpoint:
    """Content of a released torch file."""

    epoch: int
    """Epochs trained, as the file counts them."""
    state: Mapping[str, Tensor]
    rotate: Mapping[str, Tensor] | None
    """State of the rotation head; most files have none."""


def is_torch_file(path: Path) -> bool:
    """Whether a file begins as torch files do.

    Raises:
        InputError: the file cannot be read.
    """
    return first_bytes(path, 32).startswith((ZIP_MAGIC, OLD_TORCH_MAGIC))


def first_bytes(path: Path, count: int) -> bytes:
    """The first bytes of a file.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def read_released(path: Path) -> ReleasedCheckpoint:
    """Read a torch file that holds `epoch`, `state` and sometimes `rotate`.

    Raises:
        InputError: the file cannot be read, holds anything but tensors and plain values, or lacks what a released file has.
    """
    first_bytes(path, 1)
    try:
        content = load_torch_file(path)
    except InputError as error:
        raise InputError(f"{path} {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("state"), dict):
        raise InputError(f"{path} is no checkpoint of the authors: it has no dict under the name state")
    state, rotate = (_tensors(path, name, content.get(name)) for name in ("state", "rotate"))
    return ReleasedCheckpoint(epoch=_epoch(path, content.get("epoch", 0)), state=state or {}, rotate=rotate)


def _epoch(path: Path, value: Any) -> int:
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise InputError(f"{path} has no number of epochs under the name epoch")
    return int(value)


def _tensors(path: Path, name: str, value: Any) -> dict[str, Tensor] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InputError(f"{path} has no dict under the name {name}")
    for key, tensor in value.items():
        if not isinstance(key, str) or not isinstance(tensor, Tensor):
            raise InputError(f"{path} has {key!r} under the name {name}, which is no tensor with a name")
    return dict(value)


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Source of the weights of a run."""

    source: str
    """Name of the file."""
    sha256: str
    """Its digest, hexadecimal."""
    stage: str
    epoch: int
    """Epochs trained, by the file's count."""
    width: int
    """Channels of the first stage of its WRN-28."""
    outputs: int | None
    """Classes of its head; None without one."""
    created: str
    """Time of the import, as ISO 8601."""


def import_checkpoint(config: ImportConfig) -> Imported:
    """Write a run directory with the weights of a released checkpoint.

    Raises:
        InputError: the file is no released checkpoint, or the output exists.
    """
    path = config.output
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"--output {path} is there already; name a directory that is to be made")
    released = read_released(config.source)
    try:
        weights = translate(released.state, released.rotate)
    except InputError as error:
        raise InputError(f"{config.source} {error}") from error
    source = Imported(
        source=config.source.name,
        sha256=hashlib.sha256(config.source.read_bytes()).hexdigest(),
        stage=config.stage,
        epoch=released.epoch,
        width=weights.width,
        outputs=weights.outputs,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    _write_run(RunDirectory(path), config, weights, source)
    return source


def _write_run(run: RunDirectory, config: ImportConfig, weights: ReleasedWeights, source: Imported) -> None:
    write_text(run.recipe, recipe_to_yaml(imported_recipe(config, weights)))
    record(run, imported=asdict(source))
    about = {"stage": source.stage, "epoch": source.epoch, "source": source.source, "sha256": source.sha256}
    parts = {"backbone": weights.backbone, "heads.classifier": weights.class_head, "heads.rotation": weights.rotation_head}
    tensors = {f"{part}.{name}": value for part, state in parts.items() for name, value in (state or {}).items()}
    save_tensors(run.best(source.stage), tensors, about)
    write_text(run.imported, json.dumps(asdict(source), indent=2) + "\n")
    # The outcome comes last, as it marks the weights as complete.
    save_outcome(run.outcome(source.stage), Outcome(epochs=source.epoch, best_epoch=source.epoch, imported=source.source))


def imported_recipe(config: ImportConfig, weights: ReleasedWeights) -> Recipe:
    """The recipe of an imported run, from the file and the flags; everything else has its default."""
    scale = LARGE_SCALE if (weights.outputs or 0) > MANY_OUTPUTS else SCALE
    width = weights.width if weights.width != DEFAULT_WIDTH else None
    return Recipe(
        data=DataConfig(path=config.dataset, image_size=config.image_size, resize_ratio=RESIZE_RATIO, mean=IMAGENET_MEAN, std=IMAGENET_STD),
        model=ModelConfig(backbone="wrn28_10", width=width, dropout=0.5, scale=scale),
        evaluate=EvaluateConfig(features=(config.stage,)),
    )
