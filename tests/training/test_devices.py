"""The devices of a run: freed memory, float32, and launchers whose processes do not fit the settings, told in one line."""

import os
import platform
import subprocess
import sys

import pytest
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from s2m2.cli import main
from s2m2.errors import InputError
from s2m2.recipe import RuntimeConfig
from s2m2.training.devices import check_launcher, cluster_environment, state_float32

PROGRAM = """
import resource
import torch
from s2m2.training.devices import build_fabric
from s2m2.recipe import RuntimeConfig

build_fabric(RuntimeConfig(accelerator="cpu", threads=1))


def step():
    return [torch.ones(4_000_000) for _ in range(5)]  # 16 MB each, as the activations of a small network


step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
TORCHRUN = {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
BATCH = {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_JOB_NAME": "train"}
SRUN = {**BATCH, "SLURM_NTASKS_PER_NODE": "2", "SLURM_STEP_NUM_TASKS": "4"}
BY_HAND = {"MASTER_ADDR": "first", "MASTER_PORT": "29500", "NODE_RANK": "1"}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc, whose allocator is set")
def test_a_step_does_not_ask_the_system_again_for_memory_that_the_last_one_freed() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    # 20 tensors of 3,907 pages. By itself the allocator takes them anew from the system: some 78,000 faults.
    assert int(done.stdout) < 4_000


def test_float32_on_a_gpu_is_stated_whatever_was_set_before() -> None:
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = True, False
    state_float32()
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.allow_tf32


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No launcher's variables, whatever started the tests."""
    for name in os.environ:
        if name.startswith(("SLURM", "MASTER_")) or name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "LOCAL_RANK", "NODE_RANK"):
            monkeypatch.delenv(name)


def surround(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("variables", "devices", "nodes", "line"),
    [
        ({}, 1, 2, "--runtime.nodes is 2, but nothing started processes on other machines: call it with torchrun or srun"),
        (BATCH, 2, 2, "--runtime.nodes is 2, but nothing started processes on other machines"),
        (TORCHRUN, 1, 1, "--runtime.devices 1 times --runtime.nodes 1 is not the 4 processes of torchrun"),
        (TORCHRUN, 4, 1, "--runtime.devices is 4, but torchrun starts 2 process"),
        (SRUN, 1, 1, "--runtime.devices 1 times --runtime.nodes 1 is not the 4 processes of srun"),
        (SRUN, 1, 4, "--runtime.devices is 1, but srun starts 2 process"),
        ({**BATCH, "SLURM_STEP_NUM_TASKS": "4"}, 2, 2, "srun does not say how many .* call it with --nodes 2 --ntasks-per-node 2"),
        ({"WORLD_SIZE": "2", **BY_HAND}, 2, 2, "--runtime.devices 2 times --runtime.nodes 2 is not the 2 processes of the launcher"),
        ({**SRUN, "SLURM_JOB_NAME": "bash"}, 1, 1, "srun was started under the job name bash, by which it is not recognized"),
        ({**SRUN, "SLURM_JOB_NAME": "interactive"}, 2, 2, "srun was .* job name interactive, .*: give srun --job-name train$"),
        ({"WORLD_SIZE": "two"}, 1, 1, "WORLD_SIZE in the environment is 'two', but must be a whole number$"),
        ({**TORCHRUN, "LOCAL_WORLD_SIZE": ""}, 1, 1, "LOCAL_WORLD_SIZE in the environment is ''"),
        ({**SRUN, "SLURM_NTASKS": "4x"}, 2, 2, "SLURM_NTASKS in the environment is '4x'"),
        ({**SRUN, "SLURM_NTASKS_PER_NODE": "2(x2)"}, 2, 2, r"SLURM_NTASKS_PER_NODE in the environment is '2\(x2\)'"),
        ({**SRUN, "SLURM_JOB_NAME": "bash", "SLURM_STEP_NUM_TASKS": "?"}, 1, 1, "SLURM_STEP_NUM_TASKS in the environment is"),
    ],
)
def test_settings_that_do_not_fit_the_launcher(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], devices: int, nodes: int, line: str
) -> None:
    surround(monkeypatch, variables)
    with pytest.raises(InputError, match=f"^{line}"):
        check_launcher(RuntimeConfig(devices=devices, nodes=nodes))


@pytest.mark.parametrize(
    ("variables", "devices", "nodes"),
    [
        ({}, 1, 1),
        ({}, 4, 1),
        (BY_HAND, 2, 2),
        (TORCHRUN, 2, 2),
        ({**TORCHRUN, **SRUN, "SLURM_NTASKS": "2"}, 2, 2),  # a torchrun on each machine, started by srun
        (SRUN, 2, 2),
        ({**SRUN, "SLURM_JOB_NAME": "bash", "SLURM_STEP_NUM_TASKS": "1"}, 1, 1),
        ({**SRUN, "SLURM_JOB_NAME": "interactive", "SLURM_STEP_NUM_TASKS": "1"}, 4, 1),
        (BATCH, 1, 1),
        (BATCH, 4, 1),
    ],
)
def test_settings_that_fit(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], devices: int, nodes: int) -> None:
    surround(monkeypatch, variables)
    check_launcher(RuntimeConfig(devices=devices, nodes=nodes))


def test_what_a_batch_script_calls_starts_its_processes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster_environment() is None
    surround(monkeypatch, BATCH)
    assert isinstance(cluster_environment(), LightningEnvironment)
    monkeypatch.setenv("WORLD_SIZE", "2")  # one of those processes
    assert isinstance(cluster_environment(), LightningEnvironment)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert cluster_environment() is None
    monkeypatch.delenv("WORLD_SIZE")
    surround(monkeypatch, SRUN)
    assert cluster_environment() is None


@pytest.mark.parametrize(
    ("variables", "speaks"),
    [
        ({}, True),
        ({"SLURM_LOCALID": "0"}, True),
        ({"SLURM_LOCALID": "1"}, False),
        ({"LOCAL_RANK": "1"}, False),
        ({"LOCAL_RANK": "0", "SLURM_LOCALID": "1"}, True),  # a torchrun that srun started
        ({"LOCAL_RANK": "1", "SLURM_LOCALID": "0"}, False),
    ],
)
def test_of_the_processes_on_a_machine_one_tells_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variables: dict[str, str], speaks: bool
) -> None:
    surround(monkeypatch, variables)
    assert main(["run", "--seed", "-1"]) == 2
    assert ("--seed is -1" in capsys.readouterr().err) == speaks
