"""Losses and scores of a run as they come: one JSON object a line, and TensorBoard events beside it."""

import json
import logging
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from s2m2.files import write_text
from s2m2.runs.directory import RunDirectory

Kind = Literal["train", "validation"]


class MetricLog:
    """Appends figures of one training stage; on a process that does not write, does nothing.

    A run that was killed has logged steps after its last checkpoint. They are taken out when it is continued, as they come again.
    """

    def __init__(self, run: RunDirectory, stage: str, step: int, *, writes: bool = True) -> None:
        self.stage = stage
        self.file = None
        if not writes:
            return
        _rewind(run.metrics, stage, step)
        self.file = run.metrics.open("a", encoding="utf-8")
        logging.getLogger("tensorboard").setLevel(logging.ERROR)
        from torch.utils.tensorboard import SummaryWriter  # costs a second to import, which only the writing process pays

        self.events = SummaryWriter(run.tensorboard / stage, purge_step=step + 1)

    def __enter__(self) -> "MetricLog":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.file is not None:
            self.file.close()
            self.events.close()

    def write(self, kind: Kind, step: int, epoch: float, **figures: float) -> None:
        """Log figures of a step: of the steps since the last call (train), or of the weights after it (validation)."""
        if self.file is None:
            return
        self.file.write(json.dumps({"stage": self.stage, "kind": kind, "step": step, "epoch": round(epoch, 4), **figures}) + "\n")
        self.file.flush()
        for name, value in figures.items():
            self.events.add_scalar(f"{kind}/{name}", value, step)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All logged figures in order; a last line that a kill cut short is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict) and {"stage", "kind", "step", "epoch"} <= row.keys():
            rows.append(row)
    return rows


def _rewind(path: Path, stage: str, step: int) -> None:
    rows = read_metrics(path)
    kept = [row for row in rows if row["stage"] != stage or (row["step"] <= step and step > 0)]
    write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
