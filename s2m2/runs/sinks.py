"""Where losses and scores of a run go beside its JSON lines: TensorBoard always; CSV, Weights & Biases and MLflow where wished.

The last two are spoken to by their own clients, which are imported only when they are named. Fabric has no logger for them, and its CSV
logger empties the file of a run that is continued.
"""

import csv
import importlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import yaml

from s2m2.errors import InputError
from s2m2.files import write_text
from s2m2.recipe.runtime import LoggerName
from s2m2.runs.directory import RunDirectory

Kind = Literal["train", "validation"]
PROJECT = "s2m2"
"""Project of Weights & Biases, and experiment of MLflow, where the environment names no other."""
PARAMETERS_AT_ONCE = 100
"""As many as MLflow takes in one call."""


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
        self.table = csv.writer(self.file)
        self.table.writerow(["stage", "kind", "step", "epoch", "figure", "value"])
        for row in rows:
            place = [row[name] for name in ("stage", "kind", "step", "epoch")]
            self.table.writerows([*place, name, value] for name, value in row.items() if name not in ("stage", "kind", "step", "epoch"))
        self.file.flush()

    def write(self, kind: Kind, step: int, epoch: float, figures: Mapping[str, float]) -> None:
        """A line each."""
        self.table.writerows([self.stage, kind, step, round(epoch, 4), name, value] for name, value in figures.items())
        self.file.flush()

    def close(self, *, failed: bool) -> None:
        """Close the file."""
        self.file.close()


class WandbSink:
    """A run of Weights & Biases for the whole run directory, continued by its id; each stage has an axis of its own, its steps."""

    def __init__(self, run: RunDirectory, stage: str) -> None:
        import wandb

        self.stage = stage
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=os.environ.get("WANDB_NAME", run.path.resolve().name),
            id=_known(run).get("wandb"),
            resume="allow",
            config=_recipe(run),
            dir=str(run.path),
        )
        _remember(run, "wandb", self.run.id)
        self.run.define_metric(f"{stage}/step")
        self.run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")

    def write(self, kind: Kind, step: int, epoch: float, figures: Mapping[str, float]) -> None:
        """All figures in one call."""
        at = {f"{self.stage}/step": step, f"{self.stage}/epoch": epoch}
        self.run.log({**at, **{f"{self.stage}/{kind}/{name}": value for name, value in figures.items()}})

    def close(self, *, failed: bool) -> None:
        """Send what is left."""
        self.run.finish(exit_code=int(failed))


class MLflowSink:
    """A run of MLflow for the whole run directory, continued by its id."""

    def __init__(self, run: RunDirectory, stage: str) -> None:
        import mlflow

        self.stage, self.entities, self.client = stage, mlflow.entities, mlflow.MlflowClient()
        known = _known(run).get("mlflow")
        self.id: str = known if known is not None else self._create(run)
        self.client.update_run(self.id, status="RUNNING")
        _remember(run, "mlflow", self.id)

    def _create(self, run: RunDirectory) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self.client.get_experiment_by_name(name)
        experiment = found.experiment_id if found is not None else self.client.create_experiment(name)
        made: str = self.client.create_run(experiment, run_name=run.path.resolve().name).info.run_id
        settings = [self.entities.Param(key, str(value)) for key, value in _flat(_recipe(run))]
        for start in range(0, len(settings), PARAMETERS_AT_ONCE):
            self.client.log_batch(made, params=settings[start : start + PARAMETERS_AT_ONCE])
        return made

    def write(self, kind: Kind, step: int, epoch: float, figures: Mapping[str, float]) -> None:
        """All figures in one call."""
        now = round(1000 * time.time())
        values = [self.entities.Metric(f"{self.stage}/{kind}/{name}", value, now, step) for name, value in figures.items()]
        self.client.log_batch(self.id, metrics=values)

    def close(self, *, failed: bool) -> None:
        """Say how it ended."""
        self.client.set_terminated(self.id, status="FAILED" if failed else "FINISHED")


def open_sinks(
    names: Sequence[LoggerName], run: RunDirectory, stage: str, step: int, rows: Sequence[Mapping[str, Any]]
) -> dict[str, MetricSink]:
    """TensorBoard and the loggers by name.

    Args:
        step: the step that the stage goes on from.
        rows: what the JSON lines hold, up to that step.

    Raises:
        InputError: a logger cannot begin.
    """
    builders: dict[str, Callable[[], MetricSink]] = {
        "tensorboard": lambda: TensorBoardSink(run, stage, step),
        "csv": lambda: CsvSink(run, stage, rows),
        "wandb": lambda: WandbSink(run, stage),
        "mlflow": lambda: MLflowSink(run, stage),
    }
    found: dict[str, MetricSink] = {}
    for name in ("tensorboard", *names):
        try:
            found[name] = builders[name]()
        except Exception as error:  # of a client: no login, no server, a refused project, each by an error class of its own
            if name not in ("wandb", "mlflow"):
                raise
            raise InputError(f"--runtime.loggers {name} cannot begin: {' '.join(str(error).split()) or type(error).__name__}") from error
    return found


def _known(run: RunDirectory) -> dict[str, str]:
    """The ids that services gave this run."""
    return dict(json.loads(run.loggers.read_text(encoding="utf-8"))) if run.loggers.is_file() else {}


def _remember(run: RunDirectory, name: str, identity: str) -> None:
    write_text(run.loggers, json.dumps({**_known(run), name: identity}, indent=2) + "\n")


def _recipe(run: RunDirectory) -> dict[str, Any]:
    return dict(yaml.safe_load(run.recipe.read_text(encoding="utf-8")) or {}) if run.recipe.is_file() else {}


def _flat(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
