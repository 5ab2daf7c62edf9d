"""Where figures go beside the JSON lines: the right calls to each service, one run for a directory however often it is continued."""

import csv
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from s2m2.errors import InputError
from s2m2.io import write_text
from s2m2.runs.directory import RunDirectory
from s2m2.runs.logging import MetricLog, check_loggers, read_metrics


class FakeWandb(ModuleType):
    """Weights & Biases' client as far as it is used; keeps what it is given."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.begun: list[dict[str, Any]] = []
        self.logged: list[dict[str, float]] = []
        self.axes: list[tuple[Any, ...]] = []
        self.ended: list[int] = []

    def init(self, **settings: Any) -> SimpleNamespace:
        self.begun.append(settings)
        return SimpleNamespace(
            id=settings["id"] or f"id-{len(self.begun)}",
            log=self.logged.append,
            define_metric=lambda name, step_metric=None: self.axes.append((name, step_metric)),
            finish=lambda exit_code: self.ended.append(exit_code),
        )


class FakeMLflow(ModuleType):
    """MLflow's client as far as it is used."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.made: list[str] = []
        self.metrics: list[tuple[str, str, float, int]] = []
        self.parameters: dict[str, str] = {}
        self.states: list[tuple[str, str]] = []
        self.largest_call = 0
        self.uri: str | None = "http://server"
        self.artifacts: str | None = None
        self.entities = SimpleNamespace(
            Metric=lambda key, value, timestamp, step: (key, value, step), Param=lambda key, value: (key, value)
        )

    def is_tracking_uri_set(self) -> bool:
        return self.uri is not None

    def MlflowClient(self, tracking_uri: str | None = None) -> "FakeMLflow":
        assert (tracking_uri is None) == self.is_tracking_uri_set()
        self.uri = self.uri or tracking_uri
        return self

    def get_experiment_by_name(self, name: str) -> SimpleNamespace | None:
        return SimpleNamespace(experiment_id="7") if self.made else None

    def create_experiment(self, name: str, artifact_location: str | None) -> str:
        assert name == "s2m2"
        self.artifacts = artifact_location
        return "7"

    def create_run(self, experiment: str, run_name: str) -> SimpleNamespace:
        assert experiment == "7"
        self.made.append(f"run-{len(self.made) + 1}")
        return SimpleNamespace(info=SimpleNamespace(run_id=self.made[-1]))

    def update_run(self, identity: str, status: str) -> None:
        self.states.append((identity, status))

    def log_batch(self, identity: str, metrics: Any = (), params: Any = ()) -> None:
        self.largest_call = max(self.largest_call, len(params))
        self.parameters.update(dict(params))
        self.metrics += [(identity, *metric) for metric in metrics]

    def set_terminated(self, identity: str, status: str) -> None:
        self.states.append((identity, status))


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> FakeWandb:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> FakeMLflow:
    fake = FakeMLflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    return fake


def test_weights_and_biases_continues_one_run_for_both_stages(tmp_path: Path, wandb: FakeWandb) -> None:
    run = RunDirectory(tmp_path)
    write_text(run.recipe, "seed: 3\nmodel:\n  width: 4\n")
    for stage, step in (("pretrain", 0), ("pretrain", 10), ("finetune", 0)):  # begun, continued, and the next stage
        with MetricLog(run, stage, step, loggers=("wandb",)) as log:
            log.write("train", step + 5, 0.5, loss=1.5)
    assert [begun["id"] for begun in wandb.begun] == [None, "id-1", "id-1"]
    assert {begun["resume"] for begun in wandb.begun} == {"allow"}
    assert wandb.begun[0]["config"] == {"seed": 3, "model": {"width": 4}}
    assert wandb.logged[1] == {"pretrain/step": 15, "pretrain/epoch": 0.5, "pretrain/train/loss": 1.5}
    assert ("finetune/*", "finetune/step") in wandb.axes
    assert wandb.ended == [0, 0, 0]
    assert json.loads(run.loggers.read_text()) == {"wandb": {"id": "id-1", "sent": {"pretrain/train": 15, "finetune/train": 5}}}


def test_mlflow_continues_one_run_for_both_stages(tmp_path: Path, mlflow: FakeMLflow) -> None:
    run = RunDirectory(tmp_path)
    write_text(run.recipe, "model:\n" + "".join(f"  setting_{number}: {number}\n" for number in range(230)))
    for stage, step in (("pretrain", 0), ("pretrain", 10), ("finetune", 0)):
        with MetricLog(run, stage, step, loggers=("mlflow",)) as log:
            log.write("validation", step + 5, 1.0, score=0.5, best=0.6)
    assert mlflow.made == ["run-1"]
    assert mlflow.metrics[2:4] == [("run-1", "pretrain/validation/score", 0.5, 15), ("run-1", "pretrain/validation/best", 0.6, 15)]
    assert mlflow.metrics[4][1] == "finetune/validation/score"
    assert len(mlflow.parameters) == 230
    assert mlflow.parameters["model.setting_7"] == "7"
    assert mlflow.largest_call == 100  # the most that a server takes
    assert mlflow.states == [("run-1", "RUNNING"), ("run-1", "FINISHED")] * 3


def test_mlflow_writes_into_the_run_directory_where_no_other_place_is_named(tmp_path: Path, mlflow: FakeMLflow) -> None:
    mlflow.uri = None
    with MetricLog(RunDirectory(tmp_path / "a run"), "pretrain", 0, loggers=("mlflow",)):
        pass
    assert mlflow.uri == f"sqlite:///{tmp_path}/a%20run/mlflow.db"
    assert mlflow.artifacts == f"{tmp_path}/a run/mlflow"


def test_a_service_is_given_what_it_missed_and_nothing_twice(
    tmp_path: Path, wandb: FakeWandb, mlflow: FakeMLflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory(tmp_path)
    now = 0.0
    monkeypatch.setattr("s2m2.runs.logging.time.monotonic", lambda: now)
    killed = MetricLog(run, "pretrain", 0, loggers=("wandb", "mlflow"))
    for step in (1, 2, 3, 4):
        killed.write("train", step, step / 4, loss=1 / step)
        now += 12
    with monkeypatch.context() as lost:
        lost.setattr(mlflow, "log_batch", lambda *_, **__: (_ for _ in ()).throw(ConnectionError))
        killed.write("train", 5, 1.25, loss=0.2)
    assert killed.file is not None
    killed.file.close()
    assert json.loads(run.loggers.read_text())["mlflow"]["sent"] == {"pretrain/train": 4}
    assert json.loads(run.loggers.read_text())["wandb"]["sent"] == {"pretrain/train": 2}  # 12 seconds a step: 3 and later may be lost
    for start in (3, 5):
        with MetricLog(run, "pretrain", start, loggers=("wandb", "mlflow")) as log:
            for step in range(start + 1, 7):
                log.write("train", step, step / 4, loss=1 / step)
                log.write("validation", step, step / 4, score=0.5)
    at = "pretrain/step"
    assert [row[at] for row in wandb.logged if "pretrain/train/loss" in row] == [1, 2, 3, 4, 5, 3, 4, 5, 6]
    assert [row[at] for row in wandb.logged if "pretrain/validation/score" in row] == [4, 5, 6]
    assert [step for _, name, _, step in mlflow.metrics if name == "pretrain/train/loss"] == [1, 2, 3, 4, 5, 6]
    assert [step for _, name, _, step in mlflow.metrics if name == "pretrain/validation/score"] == [4, 5, 6]


def test_a_stage_that_fails_is_told(tmp_path: Path, wandb: FakeWandb, mlflow: FakeMLflow) -> None:
    with pytest.raises(FloatingPointError), MetricLog(RunDirectory(tmp_path), "pretrain", 0, loggers=("wandb", "mlflow")):
        raise FloatingPointError
    assert wandb.ended == [1]
    assert mlflow.states[-1] == ("run-1", "FAILED")


def test_a_service_that_is_lost_does_not_end_the_training(
    tmp_path: Path, mlflow: FakeMLflow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDirectory(tmp_path)
    with MetricLog(run, "pretrain", 0, loggers=("mlflow",)) as log:
        log.write("train", 1, 0.1, loss=3.0)
        monkeypatch.setattr(mlflow, "log_batch", lambda *_, **__: (_ for _ in ()).throw(ConnectionError("no route")))
        log.write("train", 2, 0.2, loss=2.0)
        log.write("train", 3, 0.3, loss=1.0)
    assert [row["loss"] for row in read_metrics(run.metrics)] == [3.0, 2.0, 1.0]
    assert capsys.readouterr().out.count("mlflow takes no more metrics (no route)") == 1


def test_a_service_that_refuses_at_the_start_is_one_clear_line(tmp_path: Path, wandb: FakeWandb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb, "init", lambda **_: (_ for _ in ()).throw(RuntimeError("no API key\nconfigured")))
    with pytest.raises(InputError, match=r"^--runtime\.loggers wandb cannot start: no API key configured$"):
        MetricLog(RunDirectory(tmp_path), "pretrain", 0, loggers=("wandb",))


def test_services_that_had_begun_are_closed_as_failed_when_a_later_one_cannot(
    tmp_path: Path, wandb: FakeWandb, mlflow: FakeMLflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow, "update_run", lambda *_, **__: (_ for _ in ()).throw(ConnectionError("no route")))
    for number, ended in enumerate(([], None)):  # the second time closing fails too, which is not reported
        monkeypatch.setattr(wandb, "ended", ended)
        with pytest.raises(InputError, match=r"^--runtime\.loggers mlflow cannot start: no route$"):
            MetricLog(RunDirectory(tmp_path / str(number)), "pretrain", 0, loggers=("wandb", "mlflow"))
        assert ended in ([1], None)


def test_a_run_goes_on_whose_file_has_nothing_but_ids(tmp_path: Path, wandb: FakeWandb, mlflow: FakeMLflow) -> None:
    run = RunDirectory(tmp_path)
    write_text(run.loggers, json.dumps({"wandb": "id-1", "mlflow": "run-1"}))
    for step in (0, 5):
        with MetricLog(run, "pretrain", step, loggers=("wandb",)) as log:
            log.write("train", step + 5, 0.5, loss=1.5)
    assert [begun["id"] for begun in wandb.begun] == ["id-1", "id-1"]
    assert [row["pretrain/step"] for row in wandb.logged] == [5, 10]
    with MetricLog(run, "finetune", 0, loggers=("mlflow",)):
        pass
    assert mlflow.states == [("run-1", "RUNNING"), ("run-1", "FINISHED")]
    sent = {"wandb": {"id": "id-1", "sent": {"pretrain/train": 10}}, "mlflow": {"id": "run-1", "sent": {}}}
    assert json.loads(run.loggers.read_text()) == sent


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_client_that_is_not_installed_is_named_with_how_to_install_it(name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=rf"--runtime\.loggers has {name}, which needs its client: pip install 's2m2\[{name}\]'"):
        check_loggers((name,))
    check_loggers(("csv",))


def test_csv_has_what_the_json_lines_have_also_after_a_kill(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for step, written in ((0, (5, 10, 15)), (10, (15, 20))):
        with MetricLog(run, "pretrain", step, loggers=("csv",)) as log:
            for number in written:
                log.write("train", number, number / 10, loss=number * 1.0, accuracy=0.5)
    with run.metrics_csv.open(newline="") as file:
        dataset = list(csv.DictReader(file))
    assert [(int(row["step"]), row["metric"], float(row["value"])) for row in dataset] == [
        (step, name, value) for step in (5, 10, 15, 20) for name, value in (("loss", step), ("accuracy", 0.5))
    ]
    assert {(row["stage"], row["kind"]) for row in dataset} == {("pretrain", "train")}


def test_loggers_that_are_not_named_write_nothing(tmp_path: Path, wandb: FakeWandb) -> None:
    run = RunDirectory(tmp_path)
    with MetricLog(run, "pretrain", 0) as log:
        log.write("train", 1, 0.1, loss=1.0)
    assert not wandb.begun
    assert not run.metrics_csv.exists()
    assert not run.loggers.exists()
