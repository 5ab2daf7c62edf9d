"""A recipe that runs through all stages in seconds, in this process or in one of its own, and the state that it ends with."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from s2m2.data.catalog import ImageDatasets
from s2m2.runs.directory import RunDirectory

TINY = {
    "data.image_size": "28",
    "model.backbone": "conv4",
    "model.width": "4",
    "pretrain.epochs": "2",
    "pretrain.batch_size": "32",
    "pretrain.validation.tasks": "20",
    "pretrain.validation.queries": "4",
    "finetune.epochs": "2",
    "finetune.batch_size": "32",
    "finetune.patience": "0",
    "finetune.validation.tasks": "20",
    "finetune.validation.queries": "4",
    "evaluate.tasks": "30",
    "evaluate.queries": "3",
    "evaluate.selection_tasks": "20",
    "evaluate.open_set_classes": "2",
    "runtime.threads": "1",
    "runtime.accelerator": "cpu",
}

SCORED_BRIEFLY = {"evaluate__classifiers": "nearest_mean", "evaluate__shots": "1", "evaluate__details": "false"}
"""Changes for runs of which the weights are looked at."""


def tiny_flags(dataset: Path, run: Path, **changes: str) -> list[str]:
    """Flags of the tiny recipe; changes are given with `__` for the dots of a path."""
    settings = {
        **TINY,
        "data.path": str(dataset),
        "run-dir": str(run),
        **{name.replace("__", "."): value for name, value in changes.items()},
    }
    return [part for name, value in settings.items() for part in (f"--{name}", *value.split())]


def command(*arguments: str) -> list[str]:
    """A call of the command line in a process of its own."""
    return [sys.executable, "-m", "s2m2", *arguments]


@contextmanager
def without_report() -> Iterator[None]:
    """Calls in this process write no report page, which takes longer than a tiny run does; for runs of which other files are looked at."""

    def nothing_written(run: RunDirectory, datasets: ImageDatasets, example: Any = None) -> Path:
        return run.report

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("s2m2.pipeline.write_report", nothing_written)
        yield


def flat_state(checkpoint: Path) -> dict[str, Tensor]:
    """Every tensor of the state that a stage ended with: weights, heads, their moving average and what the optimizer remembers."""
    state = torch.load(checkpoint, weights_only=True)
    parts = [part for part in ("weights", "average") if part in state]
    tensors = {f"{part}.{name}": value for part in parts for name, value in state[part].items()}
    for number, entry in state["optimizer"]["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in entry.items() if isinstance(value, Tensor)}
    return tensors
