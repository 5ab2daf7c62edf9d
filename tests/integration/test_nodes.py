"""Two machines of a process each, played by this one, train what one process trains; started by torchrun and as SLURM does."""

import os
import random
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from s2m2.cli import main
from s2m2.runs.directory import RunDirectory
from tests.integration.tiny import SCORED_BRIEFLY, flat_state, tiny_flags

# Plain gradient descent, and few enough steps that rounding, in which one process differs from two, stays rounding.
SETTINGS = {
    "runtime__precision": "32-true",
    "pretrain__objective": "supervised",
    "pretrain__epochs": "1",
    "pretrain__optimizer__name": "sgd",
    "pretrain__optimizer__learning_rate": "0.01",
    **SCORED_BRIEFLY,
}


@pytest.fixture(scope="module")
def one_process(glyph_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """The same run on one machine alone."""
    run = RunDirectory(tmp_path_factory.mktemp("one") / "run")
    assert main(["pretrain", *tiny_flags(glyph_folder, run.path, **SETTINGS)]) == 0
    return run


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("launcher", ["torchrun", "srun"])
def test_two_machines_train_as_one_process_does(glyph_folder: Path, tmp_path: Path, one_process: RunDirectory, launcher: str) -> None:
    run, port = RunDirectory(tmp_path / "run"), free_port()
    flags = ["-m", "s2m2", "pretrain", *tiny_flags(glyph_folder, run.path, **SETTINGS, runtime__nodes="2")]
    machines = []
    for rank in (0, 1):
        if launcher == "torchrun":
            group = [
                "--nnodes",
                "2",
                "--node-rank",
                str(rank),
                "--nproc-per-node",
                "1",
                "--master-addr",
                "127.0.0.1",
                "--master-port",
                port,
            ]
            call, variables = [sys.executable, "-m", "torch.distributed.run", *group, *flags], {}
        else:
            call, variables = [sys.executable, *flags], as_srun_sets_them(rank, port)
        machines.append(
            subprocess.Popen(call, env={**os.environ, **variables}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
    try:
        outputs = [machine.communicate(timeout=240)[0] for machine in machines]
    finally:
        for machine in machines:
            machine.kill()
            machine.communicate()  # what is left running or open would be found, and blamed on a later test
    assert [machine.returncode for machine in machines] == [0, 0], outputs
    assert ["report:" in text for text in outputs] == [True, False]
    assert sorted(path.relative_to(run.path) for path in run.path.rglob("*") if "tfevents" not in path.name) == sorted(
        path.relative_to(one_process.path) for path in one_process.path.rglob("*") if "tfevents" not in path.name
    )
    assert len(list(run.path.rglob("*tfevents*"))) == 1  # the first machine's alone
    actual, expected = (flat_state(folder.last("pretrain")) for folder in (run, one_process))
    assert actual.keys() == expected.keys()
    for name in actual:
        torch.testing.assert_close(actual[name], expected[name], rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_machines_that_nothing_starts_are_told_at_once(glyph_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", *tiny_flags(glyph_folder, tmp_path / "run", runtime__nodes="2")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("s2m2 pretrain: --runtime.nodes is 2, but nothing started processes on other machines")
    assert not (tmp_path / "run").exists()


def as_srun_sets_them(rank: int, port: str) -> dict[str, str]:
    """What `srun --nodes 2 --ntasks-per-node 1` puts into the environment of a process, and a port that is free for sure."""
    variables = {
        "JOB_ID": "4242", "JOB_NAME": "train", "NODELIST": "127.0.0.1,other", "NNODES": "2", "NTASKS": "2", "NTASKS_PER_NODE": "1",
        "STEP_NUM_TASKS": "2", "STEP_NUM_NODES": "2", "PROCID": str(rank), "NODEID": str(rank), "LOCALID": "0",
    }  # fmt: skip
    return {"MASTER_PORT": port, **{f"SLURM_{name}": value for name, value in variables.items()}}


def free_port() -> str:
    """A port that nothing listens at, below those that systems give to connections: one of these may be taken before it is used."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return str(port)
    raise AssertionError("100 ports in use")
