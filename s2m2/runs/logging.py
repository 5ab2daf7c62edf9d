"""Metrics of a run: JSON lines and TensorBoard events always; CSV, Weights & Biases and MLflow on request.

The clients of the last two are imported only where a recipe names them. Fabric has no logger for them, and its CSV logger empties the
file of a resumed run. A service cannot take back metrics logged after the last checkpoint, so it gets each metric once, however often
the run is killed (`OnceSink`). Weights & Biases may hold the last seconds before a kill twice, at the same step: its client does not
report what it has stored.
"""

import csv
import importlib
import importlib.util
import json
import logging
import math
import os
import time
import urllib.parse
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, runtime_checkable

import yaml

from s2m2.console import console
from s2m2.errors import InputError
from s2m2.io import check_regular, json_text, parse_json, write_text
from s2m2.recipe.runtime import LoggerName
from s2m2.recipe.tree import leaves
from s2m2.runs.directory import RunDirectory

Kind = Literal["train", "validation"]
"""Metrics of the steps since the last row, or of the weights after them."""
POSITION = ("stage", "kind", "step", "epoch")
"""Keys of a row of `metrics.jsonl` beside its metrics."""
PROJECT = "s2m2"
"""Project of Weights & Biases, and experiment of MLflow, unless the environment names another."""
MAX_PARAMETERS = 100
"""Parameters in one call of MLflow."""
MLFLOW_DATABASE = ("sqlalchemy", "alembic")
"""Packages of MLflow's database, which its small client `mlflow-skinny` lacks."""


@runtime_checkable
class MetricSink(Protocol):
    """A destination of the metrics of one training stage."""

    def write(self, kind: Kind, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """The metrics of one step."""
        ...

    def close(self, *, failed: bool) -> None:
        """End of the stage, or its failure."""
        ...


class MetricLog:
    """Appends the metrics of one training stage; on a process that does not write, does nothing.

    A killed run has logged steps after its last checkpoint. A resumed run removes them, as they come again. A failing service does not
    stop the training: one message reports it, and the JSON lines stay complete.
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

    def write(self, kind: Kind, step: int, epoch: float, **values: float) -> None:
        """Log metrics at a step: means of the steps since the last call (train), or scores of the weights after it (validation)."""
        if self.file is None:
            return
        self.file.write(json_text({"stage": self.stage, "kind": kind, "step": step, "epoch": round(epoch, 4), **values}) + "\n")
        self.file.flush()
        for name in list(self.sinks):
            self._try(name, lambda sink: sink.write(kind, step, epoch, values))

    def _try(self, name: str, call: Callable[[MetricSink], None]) -> None:
        try:
            call(self.sinks[name])
        except Exception as error:  # of a client, with its own error class
            del self.sinks[name]
            reason = " ".join(str(error).split()) or type(error).__name__
            console.print(f"{name} takes no more metrics ({reason}); metrics.jsonl has them all", markup=False)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All logged rows in order, without a last line that a kill has cut short; null, a loss that was not finite, is NaN."""
    rows = []
    check_regular(path)
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            row = parse_json(line)
        except ValueError:  # cut short, damaged, or no text
            continue
        if isinstance(row, dict) and _has_position(row):
            rows.append({name: math.nan if value is None else value for name, value in row.items()})
    return rows


def _has_position(row: Mapping[str, Any]) -> bool:
    """Whether a row says where it belongs."""
    numbers = (row.get("step"), row.get("epoch"))
    return all(isinstance(row.get(name), str) for name in ("stage", "kind")) and all(
        isinstance(number, int | float) and not isinstance(number, bool) for number in numbers
    )


def _rewind(path: Path, stage: str, step: int) -> list[dict[str, Any]]:
    """Remove the rows that come again, and return the others."""
    rows = read_metrics(path)
    valid = [row for row in rows if row["stage"] != stage or (row["step"] <= step and step > 0)]
    write_text(path, "".join(json_text(row) + "\n" for row in valid))
    return valid


def check_loggers(names: Sequence[LoggerName]) -> None:
    """Raise `InputError` if the client of a logger is missing."""
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
    """Event files in the run directory, one folder per stage, without events after the step of the resumed checkpoint."""

    def __init__(self, run: RunDirectory, stage: str, step: int) -> None:
        logging.getLogger("tensorboard").setLevel(logging.ERROR)
        from torch.utils.tensorboard import SummaryWriter  # a second of import time, on the writing process only

        self.events = SummaryWriter(run.tensorboard / stage, purge_step=step + 1)

    def write(self, kind: Kind, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """One scalar per metric."""
        for name, value in values.items():
            self.events.add_scalar(f"{kind}/{name}", value, step)

    def close(self, *, failed: bool) -> None:
        """Write the rest."""
        self.events.close()


class CsvSink:
    """`metrics.csv` with one metric per line, rewritten from the JSON lines at each start of a stage."""

    def __init__(self, run: RunDirectory, stage: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self.stage = stage
        self.file = run.metrics_csv.open("w", encoding="utf-8", newline="")
        self.writer = csv.writer(self.file)
        self.writer.writerow([*POSITION, "metric", "value"])
        for row in rows:
            position = [row[name] for name in POSITION]
            self.writer.writerows([*position, name, value] for name, value in row.items() if name not in POSITION)
        self.file.flush()

    def write(self, kind: Kind, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """One line per metric."""
        self.writer.writerows([self.stage, kind, step, round(epoch, 4), name, value] for name, value in values.items())
        self.file.flush()

    def close(self, *, failed: bool) -> None:
        """Close the file."""
        self.file.close()


class WandbSink:
    """One run of Weights & Biases for the whole run directory, resumed by its id; each stage has its own step axis."""

    DELAY = 30.0
    """Seconds until logged metrics outlive a kill: the client writes and sends every 15 seconds."""

    def __init__(self, run: RunDirectory, stage: str, run_id: str | None) -> None:
        import wandb

        self.stage = stage
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=os.environ.get("WANDB_NAME", run.path.resolve().name),
            id=run_id,
            resume="allow",
            config=_recipe(run),
            dir=str(run.path),
        )
        self.id: str = self.run.id
        self.run.define_metric(f"{stage}/step")
        self.run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")

    def write(self, kind: Kind, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """All metrics in one call."""
        position = {f"{self.stage}/step": step, f"{self.stage}/epoch": epoch}
        self.run.log({**position, **{f"{self.stage}/{kind}/{name}": value for name, value in values.items()}})

    def close(self, *, failed: bool) -> None:
        """Send the rest."""
        self.run.finish(exit_code=int(failed))


class MLflowSink:
    """One run of MLflow for the whole run directory, resumed by its id; in a database there, unless the environment names a server."""

    DELAY = 0.0
    """Each call waits for the database."""

    def __init__(self, run: RunDirectory, stage: str, run_id: str | None) -> None:
        import mlflow

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # which reports every created table
        self.stage, self.entities, self.artifacts = stage, mlflow.entities, None
        if mlflow.is_tracking_uri_set():
            self.client = mlflow.MlflowClient()
        else:
            self.client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{urllib.parse.quote(str(run.mlflow.resolve()))}")
            self.artifacts = str(run.mlflow.resolve().with_suffix(""))
        self.id: str = run_id if run_id is not None else self._create(run)
        self.client.update_run(self.id, status="RUNNING")

    def _create(self, run: RunDirectory) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        existing = self.client.get_experiment_by_name(name)
        experiment = (
            existing.experiment_id if existing is not None else self.client.create_experiment(name, artifact_location=self.artifacts)
        )
        created: str = self.client.create_run(experiment, run_name=run.path.resolve().name).info.run_id
        settings = [self.entities.Param(key, str(value)) for key, value in leaves(_recipe(run))]
        for start in range(0, len(settings), MAX_PARAMETERS):
            self.client.log_batch(created, params=settings[start : start + MAX_PARAMETERS])
        return created

    def write(self, kind: Kind, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """All metrics in one call."""
        now = round(1000 * time.time())
        metrics = [self.entities.Metric(f"{self.stage}/{kind}/{name}", value, now, step) for name, value in values.items()]
        self.client.log_batch(self.id, metrics=metrics)

    def close(self, *, failed: bool) -> None:
        """Report success or failure."""
        self.client.set_terminated(self.id, status="FAILED" if failed else "FINISHED")


SERVICES: dict[str, Callable[[RunDirectory, str, str | None], WandbSink | MLflowSink]] = {"wandb": WandbSink, "mlflow": MLflowSink}
"""Services outside the run directory, each with its own run id."""


class OnceSink:
    """Sends each metric of a stage to a service once, including earlier ones it has missed.

    `loggers.json` holds the service's id of the run and the last step confirmed for each kind. Steps repeated after a kill use the same
    random numbers, so values the service already has stay valid.
    """

    def __init__(self, name: str, run: RunDirectory, stage: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self.name, self.run, self.stage = name, run, stage
        stored = _services(run).get(name, {})
        self.service = SERVICES[name](run, stage, stored.get("id"))
        self.confirmed: dict[str, int] = dict(stored.get("sent", {}))
        self.sent = dict(self.confirmed)
        self.pending: deque[tuple[float, str, int]] = deque()
        self._save()
        for row in rows:
            if row["stage"] == stage:
                values = {key: value for key, value in row.items() if key not in POSITION}
                self.write(row["kind"], row["step"], row["epoch"], values)

    def write(self, kind: Kind, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """The metrics of one step, unless the service has them."""
        key = f"{self.stage}/{kind}"
        if step > self.sent.get(key, -1):
            self.service.write(kind, step, epoch, values)
            self.sent[key] = step
            self.pending.append((time.monotonic(), key, step))
            self._confirm(self.service.DELAY)

    def close(self, *, failed: bool) -> None:
        """Report success or failure."""
        self.service.close(failed=failed)
        self._confirm(0.0)

    def _confirm(self, seconds: float) -> None:
        """Count metrics sent at least so many seconds ago as stored by the service."""
        before = dict(self.confirmed)
        while self.pending and time.monotonic() - self.pending[0][0] >= seconds:
            _, key, step = self.pending.popleft()
            self.confirmed[key] = step
        if self.confirmed != before:
            self._save()

    def _save(self) -> None:
        state = {"id": self.service.id, "sent": self.confirmed}
        write_text(self.run.loggers, json.dumps({**_services(self.run), self.name: state}, indent=2) + "\n")


def _services(run: RunDirectory) -> dict[str, Any]:
    """Id and confirmed steps of this run at each service; older files hold ids only."""
    states = dict(parse_json(run.loggers.read_text(encoding="utf-8"))) if run.loggers.is_file() else {}
    return {name: {"id": state, "sent": {}} if isinstance(state, str) else state for name, state in states.items()}


def _recipe(run: RunDirectory) -> dict[str, Any]:
    return dict(yaml.safe_load(run.recipe.read_text(encoding="utf-8")) or {}) if run.recipe.is_file() else {}


def open_sinks(
    names: Sequence[LoggerName], run: RunDirectory, stage: str, step: int, rows: Sequence[Mapping[str, Any]]
) -> dict[str, MetricSink]:
    """TensorBoard and the named loggers. If one fails to start, those already open are closed as failed.

    Args:
        step: the step of the resumed checkpoint.
        rows: the JSON lines up to that step.

    Raises:
        InputError: a logger cannot start.
    """
    builders: dict[str, Callable[[], MetricSink]] = {
        "tensorboard": lambda: TensorBoardSink(run, stage, step),
        "csv": lambda: CsvSink(run, stage, rows),
        **{name: partial(OnceSink, name, run, stage, rows) for name in SERVICES},
    }
    sinks: dict[str, MetricSink] = {}
    with ExitStack() as opened:
        for name in ("tensorboard", *names):
            try:
                sinks[name] = builders[name]()
            except Exception as error:  # of a client: no login, no server, a refused project, each with its own error class
                if name not in SERVICES:
                    raise
                reason = " ".join(str(error).split()) or type(error).__name__
                raise InputError(f"--runtime.loggers {name} cannot start: {reason}") from error
            opened.callback(_close_failed, sinks[name])
        opened.pop_all()
    return sinks


def _close_failed(sink: MetricSink) -> None:
    with suppress(Exception):  # of a client; the reported error is that of the one that failed to start
        sink.close(failed=True)
