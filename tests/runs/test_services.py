"""Weights & Biases and MLflow by their real clients, without network: a run that is killed and goes on is one there, with every figure."""

import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s2m2.errors import InputError
from s2m2.io import write_text
from s2m2.runs.directory import RunDirectory
from s2m2.runs.logging import POSITION, MetricLog, read_metrics

pytestmark = pytest.mark.filterwarnings("default")  # the clients' own
KILLED = """
import os, signal, sys
from pathlib import Path
from s2m2.runs.directory import RunDirectory
from s2m2.runs.logging import MetricLog

with MetricLog(RunDirectory(Path(sys.argv[1])), "pretrain", 0, loggers=(sys.argv[2],)) as log:
    for step in (5, 10, 15, 20):
        log.write("train", step, step / 10, loss=1 / step, accuracy=step / 100)
    log.write("validation", 20, 2.0, score=0.25)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and clients that neither ask a server nor report home."""
    for name in ("WANDB_PROJECT", "WANDB_NAME", "WANDB_RUN_ID", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for name, value in (("WANDB_MODE", "offline"), ("WANDB_ERROR_REPORTING", "false"), ("MLFLOW_DISABLE_TELEMETRY", "true")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    folder = tmp_path / "called from here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def killed_and_continued(path: Path, logger: Any) -> RunDirectory:
    """A run that is killed after step 20, goes on from step 10 to 30, and has a second stage."""
    run = RunDirectory(path)
    write_text(run.recipe, "seed: 3\nmodel:\n  width: 4\n  weights: null\n")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), logger], capture_output=True, text=True, timeout=120, check=False)
    assert killed.returncode == -9, killed.stderr
    for stage, steps in (("pretrain", (15, 20, 25, 30)), ("finetune", (5,))):
        with MetricLog(run, stage, steps[0] - 5, loggers=(logger,)) as log:
            for step in steps:
                log.write("train", step, step / 10, loss=1 / step, accuracy=step / 100)
                if step % 20 == 0:
                    log.write("validation", step, step / 10, score=0.25)
    return run


def figures(run: RunDirectory) -> dict[tuple[str, int], float]:
    """What the JSON lines say, by stage, kind, name and step."""
    return {
        (f"{row['stage']}/{row['kind']}/{name}", row["step"]): value
        for row in read_metrics(run.metrics)
        for name, value in row.items()
        if name not in POSITION
    }


def test_mlflow_has_one_run_with_every_figure_once_and_the_recipe(tmp_path: Path, offline: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("alembic")
    run = killed_and_continued(tmp_path / "100% a run", "mlflow")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/100%25 a run/mlflow.db")
    experiment = client.get_experiment_by_name("s2m2")
    (logged,) = client.search_runs([experiment.experiment_id])
    assert (logged.info.run_name, logged.info.status) == ("100% a run", "FINISHED")
    assert logged.data.params == {"seed": "3", "model.width": "4", "model.weights": "None"}
    histories = (client.get_metric_history(logged.info.run_id, name) for name in logged.data.metrics)
    values = [((one.key, one.step), one.value) for history in histories for one in history]
    assert len(values) == len(dict(values))
    assert dict(values) == figures(run)
    assert Path(experiment.artifact_location).parent == run.path
    assert not list(offline.iterdir())


def test_wandb_has_one_run_with_every_figure_and_the_recipe(tmp_path: Path, offline: Path) -> None:
    pytest.importorskip("wandb")
    messages = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    run = killed_and_continued(tmp_path / "run", "wandb")
    logged: dict[tuple[str, int], float] = {}
    starts = []
    for path in (run.path / "wandb").glob("offline-run-*/*.wandb"):
        for content in records(path.read_bytes()):
            record = messages.Record()
            record.ParseFromString(content)
            if record.HasField("run"):
                starts.append((record.run.run_id, record.run.project, record.run.display_name, record.run.resume))
                recipe = {entry.key: json.loads(entry.value_json) for entry in record.run.config.update}
                assert (recipe["seed"], recipe["model"]) == (3, {"width": 4, "weights": None})
            if record.HasField("history"):
                row = {"".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
                (step,) = [value for name, value in row.items() if name.endswith("/step")]
                logged |= {(name, step): value for name, value in row.items() if name.count("/") == 2}
    assert logged == figures(run)
    identity = json.loads(run.loggers.read_text())["wandb"]["id"]
    assert set(starts) == {(identity, "s2m2", "run", True)}  # of the start that was killed the client may have written nothing yet
    assert not list(offline.iterdir())


def test_mlflow_in_the_run_directory_needs_what_keeps_a_database(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    from s2m2.runs import logging as sinks

    monkeypatch.setattr(sinks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"mlflow, whose database in the run directory needs sqlalchemy and alembic: pip install"):
        sinks.check_loggers(("mlflow",))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    sinks.check_loggers(("mlflow",))


def records(content: bytes) -> Iterator[bytes]:
    """The messages of a file of W&B's client: a header of 7 bytes, then LevelDB's log, blocks of 32 KiB that hold parts of messages."""
    offset, parts = 7, b""
    while offset + 7 <= len(content):
        if offset % 32768 > 32768 - 7:  # no room for the head of a part
            offset += -offset % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", content, offset)
        parts += content[offset + 7 : offset + 7 + length]
        offset += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""
