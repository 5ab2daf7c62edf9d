"""`Analysis`: all measurements of a run, their file, and whether they are of the run's weights."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from s2m2.analysis.predictions import HeadMeasures, Memorization
from s2m2.analysis.representation import LayerMeasures, Representation
from s2m2.errors import InputError
from s2m2.evaluation.stated_types import check_types
from s2m2.io import read_json, seal, write_text
from s2m2.runs.checkpoint import load_outcome
from s2m2.runs.directory import RunDirectory

ANALYSIS_FORMAT = 2
OLDER_KEYS = {
    "pictures": "images",
    "memorisation": "memorization",
    "surprise": "nll",
    "shares": "fractions",
    "largest_share": "largest_fraction",
    "given_label": "memorized",
}
"""Keys of format 1, and their names now."""
StageName = Literal["initial", "pretrain", "finetune"]
TRAINED: tuple[StageName, ...] = ("pretrain", "finetune")
"""The training stages."""


@dataclass(frozen=True, kw_only=True)
class StageAnalysis:
    """The weights after one stage of a run, or the initial ones."""

    name: StageName
    fingerprint: str
    """SHA-256 of the file of the stage's best weights, hexadecimal; for the initial weights, over the weights themselves."""
    base: Representation
    """Of images of base classes."""
    novel: Representation | None
    """Of images of novel classes; None where there are none."""
    head: HeadMeasures | None = None
    """None for the initial weights, whose head is untrained, and where the class head was not kept."""
    memorization: Memorization | None = None
    """None unless labels were corrupted."""


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """All stages of a run, on the same images."""

    created: str
    """Date and time by ISO 8601, UTC."""
    dataset: str
    digest: str
    """SHA-256 of the dataset of the base classes, hexadecimal."""
    novel_dataset: str
    novel_digest: str
    seed: int
    """Of the run."""
    settings: Mapping[str, Any]
    """Those of `analyze`."""
    base_from: Literal["held out", "trained"]
    """Origin of the images of base classes for the representation."""
    head_from: Literal["held out", "trained"]
    """Origin of the images of base classes for the class head."""
    stages: tuple[StageAnalysis, ...]
    """In the order of the run."""


def save_analysis(path: Path, analysis: Analysis) -> None:
    """Write an analysis as JSON, whole or not at all."""
    write_text(path, json.dumps(seal({"format": ANALYSIS_FORMAT, **asdict(analysis)}), indent=1, allow_nan=False) + "\n")


def load_analysis(path: Path) -> Analysis | None:
    """The analysis of a file, of this or an older format; None where there is none.

    Raises:
        InputError: the file is damaged or of another format.
    """
    try:
        stored = read_json(path)
        number = stored.pop("format")
        if number == 1:
            stored = _renamed(stored)
        elif number != ANALYSIS_FORMAT:
            raise ValueError("another format")
        datetime.fromisoformat(stored["created"])
        if not stored["stages"] or any(stage["name"] not in get_args(StageName) for stage in stored["stages"]):
            raise ValueError("not the stages of a run")
        analysis = Analysis(**{**stored, "stages": tuple(_stage(stage) for stage in stored["stages"])})
        check_types(analysis)
        parts = [part for stage in analysis.stages for part in (stage.base, stage.novel) if part is not None]
        if len({len(part.layers) for part in parts}) != 1 or not parts[0].layers:
            raise ValueError("stages of different networks")
        if not isinstance(analysis.settings["temperature"], int | float | None):
            raise ValueError("temperature is no number")
        return analysis
    except FileNotFoundError:
        return None
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error}); `s2m2 analyze` replaces it") from error


def finished_stages(run: RunDirectory) -> list[StageName]:
    """Finished training stages, in their order.

    Raises:
        InputError: the outcome of one is damaged.
    """
    return [name for name in TRAINED if load_outcome(run.outcome(name)) is not None]


def weights_digest(run: RunDirectory, stage: str) -> str:
    """SHA-256 of the file of a stage's best weights, hexadecimal.

    Raises:
        InputError: there is no such file.
    """
    try:
        with run.best(stage).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{run.best(stage)} cannot be read: {error.strerror}") from error


def changed_stages(run: RunDirectory, analysis: Analysis) -> list[StageName]:
    """Training stages whose weights are no longer, or not yet, those of the analysis, in their order."""
    analyzed = {stage.name: stage.fingerprint for stage in analysis.stages}
    current: dict[StageName, str | None] = dict.fromkeys(TRAINED)
    for name in finished_stages(run):
        current[name] = weights_digest(run, name) if run.best(name).is_file() else "gone"
    return [name for name in TRAINED if analyzed.get(name) != current[name]]


def _renamed(stored: Any) -> Any:
    if isinstance(stored, dict):
        return {OLDER_KEYS.get(key, key): _renamed(value) for key, value in stored.items()}
    return [_renamed(value) for value in stored] if isinstance(stored, list) else stored


def _stage(stored: Mapping[str, Any]) -> StageAnalysis:
    head, memory = stored["head"], stored["memorization"]
    pairs = {name: tuple(map(tuple, head[name])) for name in ("bins", "attacked")} if head else {}
    return StageAnalysis(
        name=stored["name"],
        fingerprint=stored["fingerprint"],
        base=_representation(stored["base"]),
        novel=_representation(stored["novel"]) if stored["novel"] else None,
        head=HeadMeasures(**{**head, **pairs}) if head else None,
        memorization=Memorization(**memory) if memory else None,
    )


def _representation(stored: Mapping[str, Any]) -> Representation:
    layers = tuple(LayerMeasures(**{**layer, "fractions": tuple(layer["fractions"])}) for layer in stored["layers"])
    return Representation(**{**stored, "layers": layers})
