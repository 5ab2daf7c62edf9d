"""Losses and scores of a run as they come: one JSON object a line, and the same to wherever else they are wished."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from s2m2.console import console
from s2m2.files import write_text
from s2m2.recipe.runtime import LoggerName
from s2m2.runs.directory import RunDirectory
from s2m2.runs.rows import PLACE, Kind
from s2m2.runs.sinks import MetricSink, open_sinks


class MetricLog:
    """Appends figures of one training stage; on a process that does not write, does nothing.

    A run that was killed has logged steps after its last checkpoint. They are taken out when it is continued, as they come again.
    A service that stops taking figures does not stop the training: it is told once, and the JSON lines have all of them.
    """

    def __init__(self, run: RunDirectory, stage: str, step: int, *, writes: bool = True, loggers: Sequence[LoggerName] = ()) -> None:
        self.stage = stage
        self.file = None
        self.sinks: dict[str, MetricSink] = {}
        if not writes:
            return
        rows = _rewind(run.metrics, stage, step)
        self.sinks = open_sinks(loggers, run, stage, step, rows)
        self.file = run.metrics.open("a", encoding="utf-8")

    def __enter__(self) -> "MetricLog":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.file is not None:
            self.file.close()
        for name in list(self.sinks):
            self._try(name, lambda sink: sink.close(failed=error is not None))

    def write(self, kind: Kind, step: int, epoch: float, **figures: float) -> None:
        """Log figures of a step: of the steps since the last call (train), or of the weights after it (validation)."""
        if self.file is None:
            return
        self.file.write(json.dumps({"stage": self.stage, "kind": kind, "step": step, "epoch": round(epoch, 4), **figures}) + "\n")
        self.file.flush()
        for name in list(self.sinks):
            self._try(name, lambda sink: sink.write(kind, step, epoch, figures))

    def _try(self, name: str, call: Callable[[MetricSink], None]) -> None:
        try:
            call(self.sinks[name])
        except Exception as error:  # of a client, by an error class of its own
            del self.sinks[name]
            reason = " ".join(str(error).split()) or type(error).__name__
            console.print(f"{name} takes no more figures ({reason}); metrics.jsonl has them all", markup=False)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All logged figures in order; a last line that a kill cut short is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict) and set(PLACE) <= row.keys():
            rows.append(row)
    return rows


def _rewind(path: Path, stage: str, step: int) -> list[dict[str, Any]]:
    """Take out what comes again, and return what stays."""
    rows = read_metrics(path)
    kept = [row for row in rows if row["stage"] != stage or (row["step"] <= step and step > 0)]
    write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
    return kept
