"""`Analysis`: everything that was measured of a run, and its file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from s2m2.analysis.images import Origin
from s2m2.analysis.predictions import HeadMeasures
from s2m2.analysis.representation import LayerMeasures, Representation
from s2m2.errors import InputError
from s2m2.files import write_text
from s2m2.functional.predictions import Memorization

ANALYSIS_FORMAT = 1
StageName = Literal["initial", "pretrain", "finetune"]
TRAINED: tuple[StageName, ...] = ("pretrain", "finetune")
"""The stages that train."""


@dataclass(frozen=True, kw_only=True)
class StageAnalysis:
    """The weights after one stage of a run, or those that it began with."""

    name: StageName
    fingerprint: str
    """SHA-256 of the file of the stage's best weights, hexadecimal; of the initial weights, over the weights themselves."""
    base: Representation
    """Of images of base classes."""
    novel: Representation | None
    """Of images of novel classes; None where there are none."""
    head: HeadMeasures | None = None
    """None for the initial weights, whose head has learned nothing, and where the class head was not kept."""
    memorization: Memorization | None = None
    """None unless labels were corrupted."""


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What was measured, and on what."""

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
    base_from: Origin
    """Which images of base classes the representation was measured on."""
    head_from: Origin
    """Which images of base classes the class head was measured on."""
    stages: tuple[StageAnalysis, ...]
    """In the order of the run."""


def save_analysis(path: Path, analysis: Analysis) -> None:
    """Write an analysis as JSON, whole or not at all."""
    write_text(path, json.dumps({"format": ANALYSIS_FORMAT, **asdict(analysis)}, indent=1, allow_nan=False) + "\n")


def load_analysis(path: Path) -> Analysis | None:
    """The analysis of a file, or None where there is none.

    Raises:
        InputError: the file is damaged or of another format.
    """
    if not path.exists():
        return None
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        if stated.pop("format") != ANALYSIS_FORMAT:
            raise ValueError("another format")
        datetime.fromisoformat(stated["created"])
        if not stated["stages"] or any(one["name"] not in get_args(StageName) for one in stated["stages"]):
            raise ValueError("not the stages of a run")
        return Analysis(**{**stated, "stages": tuple(_stage(one) for one in stated["stages"])})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error}); `s2m2 analyze` replaces it") from error


def _stage(stated: Mapping[str, Any]) -> StageAnalysis:
    head, memory = stated["head"], stated["memorization"]
    pairs = {name: tuple(map(tuple, head[name])) for name in ("bins", "attacked")} if head else {}
    return StageAnalysis(
        name=stated["name"],
        fingerprint=stated["fingerprint"],
        base=_representation(stated["base"]),
        novel=_representation(stated["novel"]) if stated["novel"] else None,
        head=HeadMeasures(**{**head, **pairs}) if head else None,
        memorization=Memorization(**memory) if memory else None,
    )


def _representation(stated: Mapping[str, Any]) -> Representation:
    layers = tuple(LayerMeasures(**{**layer, "shares": tuple(layer["shares"])}) for layer in stated["layers"])
    return Representation(**{**stated, "layers": layers})
