"""Figures at services that keep them elsewhere, under an id: Weights & Biases and MLflow, each spoken to by its own client.

A service cannot be made to forget what came after the checkpoint that a run goes on from, so it is given each figure once, however
often the run is killed (`OnceSink`). Of the last seconds before a kill Weights & Biases may have some twice, at the same step, as its
client does not tell what it has kept of them.
"""

import json
import logging
import os
import time
import urllib.parse
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from s2m2.files import write_text
from s2m2.recipe.tree import leaves
from s2m2.runs.directory import RunDirectory
from s2m2.runs.rows import PLACE, Kind

PROJECT = "s2m2"
"""Project of Weights & Biases, and experiment of MLflow, where the environment names no other."""
PARAMETERS_AT_ONCE = 100
"""As many as MLflow takes in one call."""


class WandbSink:
    """A run of Weights & Biases for the whole run directory, continued by its id; each stage has an axis of its own, its steps."""

    SETTLES = 30.0
    """Seconds until what was logged outlives a kill: the client writes, and sends, every 15 seconds."""

    def __init__(self, run: RunDirectory, stage: str, known: str | None) -> None:
        import wandb

        self.stage = stage
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=os.environ.get("WANDB_NAME", run.path.resolve().name),
            id=known,
            resume="allow",
            config=_recipe(run),
            dir=str(run.path),
        )
        self.id: str = self.run.id
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
    """A run of MLflow for the whole run directory, continued by its id; in a database there, where the environment names no other place."""

    SETTLES = 0.0
    """Each call waits for the store."""

    def __init__(self, run: RunDirectory, stage: str, known: str | None) -> None:
        import mlflow

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # which else tells of every dataset that it makes
        self.stage, self.entities, self.artifacts = stage, mlflow.entities, None
        if mlflow.is_tracking_uri_set():
            self.client = mlflow.MlflowClient()
        else:
            self.client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{urllib.parse.quote(str(run.mlflow.resolve()))}")
            self.artifacts = str(run.mlflow.resolve().with_suffix(""))
        self.id: str = known if known is not None else self._create(run)
        self.client.update_run(self.id, status="RUNNING")

    def _create(self, run: RunDirectory) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self.client.get_experiment_by_name(name)
        experiment = found.experiment_id if found is not None else self.client.create_experiment(name, artifact_location=self.artifacts)
        made: str = self.client.create_run(experiment, run_name=run.path.resolve().name).info.run_id
        settings = [self.entities.Param(key, str(value)) for key, value in leaves(_recipe(run))]
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


SERVICES: dict[str, Callable[[RunDirectory, str, str | None], WandbSink | MLflowSink]] = {"wandb": WandbSink, "mlflow": MLflowSink}
"""What is kept elsewhere, under an id."""


class OnceSink:
    """Gives a service the figures of a stage that it does not have yet: earlier ones that it missed, and none a second time.

    `loggers.json` has its id of the run and the last step that it is sure to have of each kind. Steps that come again after a kill are
    computed from the same draws, so what the service has of them stands.
    """

    def __init__(self, name: str, run: RunDirectory, stage: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self.name, self.run, self.stage = name, run, stage
        kept = _services(run).get(name, {})
        self.service = SERVICES[name](run, stage, kept.get("id"))
        self.sure: dict[str, int] = dict(kept.get("sent", {}))
        self.given = dict(self.sure)
        self.waiting: deque[tuple[float, str, int]] = deque()
        self._remember()
        for row in rows:
            if row["stage"] == stage:
                figures = {key: value for key, value in row.items() if key not in PLACE}
                self.write(row["kind"], row["step"], row["epoch"], figures)

    def write(self, kind: Kind, step: int, epoch: float, figures: Mapping[str, float]) -> None:
        """The figures of one step, unless the service has them."""
        of = f"{self.stage}/{kind}"
        if step > self.given.get(of, -1):
            self.service.write(kind, step, epoch, figures)
            self.given[of] = step
            self.waiting.append((time.monotonic(), of, step))
            self._settle(self.service.SETTLES)

    def close(self, *, failed: bool) -> None:
        """Say how it ended."""
        self.service.close(failed=failed)
        self._settle(0.0)

    def _settle(self, seconds: float) -> None:
        """Count figures that were given so long ago as what the service has."""
        before = dict(self.sure)
        while self.waiting and time.monotonic() - self.waiting[0][0] >= seconds:
            _, of, step = self.waiting.popleft()
            self.sure[of] = step
        if self.sure != before:
            self._remember()

    def _remember(self) -> None:
        about = {"id": self.service.id, "sent": self.sure}
        write_text(self.run.loggers, json.dumps({**_services(self.run), self.name: about}, indent=2) + "\n")


def _services(run: RunDirectory) -> dict[str, Any]:
    """What services know of this run; of an older file, which had nothing but ids, it is not known what was sent."""
    found = dict(json.loads(run.loggers.read_text(encoding="utf-8"))) if run.loggers.is_file() else {}
    return {name: {"id": about, "sent": {}} if isinstance(about, str) else about for name, about in found.items()}


def _recipe(run: RunDirectory) -> dict[str, Any]:
    return dict(yaml.safe_load(run.recipe.read_text(encoding="utf-8")) or {}) if run.recipe.is_file() else {}
