"""Where losses and scores of a run go beside its JSON lines: TensorBoard always; CSV, Weights & Biases and MLflow where wished.

The clients of the last two (`runs/services.py`) are imported only when they are named. Fabric has no logger for them, and its CSV
logger empties the file of a run that is continued.
"""

import csv
import importlib
import importlib.util
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Protocol, runtime_checkable

from s2m2.errors import InputError
from s2m2.recipe.runtime import LoggerName
from s2m2.runs.directory import RunDirectory
from s2m2.runs.rows import PLACE, Kind
from s2m2.runs.services import SERVICES, OnceSink

MLFLOW_DATABASE = ("sqlalchemy", "alembic")
"""What MLflow keeps a database with, and its small client, `mlflow-skinny`, comes without."""


@runtime_checkable
class MetricSink(Protocol):
    """Takes the figures of one training stage as they come."""

    def write(self, kind: Kind, step: int, epoch: float, figures: Mapping[str, float]) -> None:
        """The figures of one step."""
        ...

    def close(self, *, failed: bool) -> None:
        """No more comes; the stage ended, or failed."""
        ...


def check_loggers(names: Sequence[LoggerName]) -> None:
    """Raise `InputError` if the client of a logger is not installed."""
    for name in names:
        if name == "csv":
            continue
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise InputError(f"--runtime.loggers has {name}, which needs its client: pip install 's2m2[{name}]'") from error
    if "mlflow" in names and not importlib.import_module("mlflow").is_tracking_uri_set():
        missing = [name for name in MLFLOW_DATABASE if importlib.util.find_spec(name) is None]
        if missing:
            raise InputError(
                f"--runtime.loggers has mlflow, whose database in the run directory needs {' and '.join(missing)}: "
                "pip install 's2m2[mlflow]', or name a server in MLFLOW_TRACKING_URI"
            )


class TensorBoardSink:
    """Event files in the run directory, a folder a stage; what was logged after the step to continue from is struck out."""

    def __init__(self, run: RunDirectory, stage: str, step: int) -> None:
        logging.getLogger("tensorboard").setLevel(logging.ERROR)
        from torch.utils.tensorboard import SummaryWriter  # costs a second to import, which only the writing process pays

        self.events = SummaryWriter(run.tensorboard / stage, purge_step=step + 1)

    def write(self, kind: Kind, step: int, epoch: float, figures: Mapping[str, float]) -> None:
        """A scalar each."""
        for name, value in figures.items():
            self.events.add_scalar(f"{kind}/{name}", value, step)

    def close(self, *, failed: bool) -> None:
        """Write what is left."""
        self.events.close()


class CsvSink:
    """One figure a line, `metrics.csv`; made anew from the JSON lines when a stage begins or goes on."""

    def __init__(self, run: RunDirectory, stage: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self.stage = stage
        self.file = run.metrics_csv.open("w", encoding="utf-8", newline="")
        self.dataset = csv.writer(self.file)
        self.dataset.writerow([*PLACE, "figure", "value"])
        for row in rows:
            place = [row[name] for name in PLACE]
            self.dataset.writerows([*place, name, value] for name, value in row.items() if name not in PLACE)
        self.file.flush()

    def write(self, kind: Kind, step: int, epoch: float, figures: Mapping[str, float]) -> None:
        """A line each."""
        self.dataset.writerows([self.stage, kind, step, round(epoch, 4), name, value] for name, value in figures.items())
        self.file.flush()

    def close(self, *, failed: bool) -> None:
        """Close the file."""
        self.file.close()


def open_sinks(
    names: Sequence[LoggerName], run: RunDirectory, stage: str, step: int, rows: Sequence[Mapping[str, Any]]
) -> dict[str, MetricSink]:
    """TensorBoard and the loggers by name; all of them, or those that had begun are closed as failed.

    Args:
        step: the step that the stage goes on from.
        rows: what the JSON lines hold, up to that step.

    Raises:
        InputError: a logger cannot begin.
    """
    builders: dict[str, Callable[[], MetricSink]] = {
        "tensorboard": lambda: TensorBoardSink(run, stage, step),
        "csv": lambda: CsvSink(run, stage, rows),
        **{name: partial(OnceSink, name, run, stage, rows) for name in SERVICES},
    }
    found: dict[str, MetricSink] = {}
    with ExitStack() as begun:
        for name in ("tensorboard", *names):
            try:
                found[name] = builders[name]()
            except Exception as error:  # of a client: no login, no server, a refused project, each by an error class of its own
                if name not in SERVICES:
                    raise
                reason = " ".join(str(error).split()) or type(error).__name__
                raise InputError(f"--runtime.loggers {name} cannot begin: {reason}") from error
            begun.callback(_close_failed, found[name])
        begun.pop_all()
    return found


def _close_failed(sink: MetricSink) -> None:
    with suppress(Exception):  # of a client; what is told is why another could not begin
        sink.close(failed=True)
