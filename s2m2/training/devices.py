"""The devices and processes of a run: Fabric from the settings, and the launcher of this process.

Processes are started by `torchrun`, by SLURM's `srun`, or on one machine by Fabric itself.
"""

import ctypes
import os
import platform
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch.nn.parallel import DistributedDataParallel

from s2m2.console import count
from s2m2.errors import InputError
from s2m2.recipe import RuntimeConfig
from s2m2.training.precision import resolve_precision, silence_fabric

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`."""
_OPTIONS = signature(DistributedDataParallel.__init__).parameters
NO_BUFFER_SYNC: dict[str, Any] = {"forward_sync_buffers" if "forward_sync_buffers" in _OPTIONS else "broadcast_buffers": False}
"""Statistics of batch normalization are equal on all processes, so they need no sending before every step; torch 2.15 renamed it."""
BY_HAND = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
"""Environment variables by which calls on several machines find each other without a launcher."""
PROCESSES_PER_CORE, MAX_THREADS = 4, 256
"""Most processes on a CPU, and most threads of each."""
INTERACTIVE = ("bash", "interactive")
"""SLURM job names under which Fabric ignores `srun`; inside `salloc`, `srun` inherits such a name."""


def build_fabric(config: RuntimeConfig) -> Fabric:
    """Fabric on the devices of the settings, with its processes launched.

    Raises:
        InputError: this machine has no such device, or another number of processes was started.
    """
    kind = _accelerator(config)
    _check_cores(config, kind)
    check_launcher(config)
    if config.threads:
        torch.set_num_threads(config.threads)
    if kind == "cpu":
        keep_freed_memory()
    if kind == "cuda":
        state_float32()
    silence_fabric()
    strategy = DDPStrategy(gradient_as_bucket_view=True, **NO_BUFFER_SYNC) if config.devices * config.nodes > 1 else "auto"
    fabric = Fabric(
        accelerator=kind,
        devices=config.devices,
        num_nodes=config.nodes,
        precision=resolve_precision(config, kind),
        strategy=strategy,
        plugins=cluster_environment(),
    )
    fabric.launch()
    return fabric


def state_float32() -> None:
    """Set float32 on an NVIDIA GPU: TF32 for convolutions (10 bits of mantissa), full float32 for matrix products.

    Both are torch's defaults, set so that no other library changes results. Classifiers and measures are matrix products. Fabric's
    advice to use TF32 there is not shown.
    """
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False


def keep_freed_memory() -> None:
    """Keep freed memory for the next step, if the C library is glibc.

    By default glibc returns the activations of a step to the system, which zeroes them page by page for the next one. Blocks of more
    than 32 MiB, the largest threshold, are still returned.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_THRESHOLD, 32 * 2**20)
        library.mallopt(TRIM_THRESHOLD, 2**31 - 1)


def _accelerator(config: RuntimeConfig) -> str:
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if config.accelerator != "auto" and not available[config.accelerator]:
        raise InputError(f"--runtime.accelerator is {config.accelerator}, but this machine has no such device")
    kind = config.accelerator if config.accelerator != "auto" else next(name for name in ("cuda", "mps", "cpu") if available[name])
    if kind == "cuda" and config.devices > torch.cuda.device_count():
        raise InputError(f"--runtime.devices is {config.devices}, but this machine has {torch.cuda.device_count()} GPU(s)")
    return kind


def _check_cores(config: RuntimeConfig, kind: str) -> None:
    """Raise `InputError` for more processes or threads than this machine could ever use: it would stand still, or torch would crash."""
    cores = os.cpu_count() or 1
    for name, value, most in (
        ("devices", config.devices if kind == "cpu" else 0, PROCESSES_PER_CORE * cores),
        ("threads", config.threads, max(MAX_THREADS, cores)),
    ):
        if value > most:
            raise InputError(f"--runtime.{name} is {value}, but this machine has {count(cores, 'core')}; {most} is the most")


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """The program that started this process and others."""

    name: str
    processes: int
    """Processes on all machines."""
    each: int | None
    """Processes on each machine, if known."""


def find_launcher() -> Launcher | None:
    """The launcher of this process, by its environment variables.

    Every process of an `srun` has the variables of a step. A batch script of SLURM has only those of its job, and its
    calls are single processes.

    Raises:
        InputError: a variable is not a number, or the tasks of an `srun` would not find each other.
    """
    environment = os.environ
    if "WORLD_SIZE" in environment:
        name = "torchrun" if "LOCAL_WORLD_SIZE" in environment else "the launcher"
        return Launcher(name=name, processes=_number("WORLD_SIZE"), each=_number_if_set("LOCAL_WORLD_SIZE"))
    if "SLURM_STEP_NUM_TASKS" not in environment or "SLURM_NTASKS" not in environment:
        return None
    job = environment.get("SLURM_JOB_NAME")
    if job not in INTERACTIVE:
        return Launcher(name="srun", processes=_number("SLURM_NTASKS"), each=_number_if_set("SLURM_NTASKS_PER_NODE"))
    if _number("SLURM_STEP_NUM_TASKS") > 1:
        raise InputError(f"srun was started under the job name {job}, by which it is not recognized: give srun --job-name train")
    return None


def _number(name: str) -> int:
    try:
        return int(os.environ[name])
    except ValueError as error:
        raise InputError(f"{name} in the environment is {os.environ[name]!r}, but must be a whole number") from error


def _number_if_set(name: str) -> int | None:
    return _number(name) if name in os.environ else None


def check_launcher(config: RuntimeConfig) -> None:
    """Raise `InputError` if processes would wait for others that nobody starts, or not find each other."""
    launcher, devices, nodes = find_launcher(), config.devices, config.nodes
    if launcher is None:
        if nodes > 1 and not all(name in os.environ for name in BY_HAND):
            raise InputError(
                f"--runtime.nodes is {nodes}, but nothing started processes on other machines: call it with torchrun or srun, "
                f"or on each machine with {', '.join(BY_HAND)} in the environment"
            )
        return
    if launcher.processes != devices * nodes:
        raise InputError(
            f"--runtime.devices {devices} times --runtime.nodes {nodes} is not the {launcher.processes} processes of {launcher.name}"
        )
    if launcher.name == "srun" and launcher.each is None and launcher.processes > 1:
        raise InputError(f"srun does not say how many processes a machine gets: call it with --nodes {nodes} --ntasks-per-node {devices}")
    if launcher.each is not None and launcher.each != devices:
        raise InputError(f"--runtime.devices is {devices}, but {launcher.name} starts {launcher.each} process(es) on each machine")


def cluster_environment() -> ClusterEnvironment | None:
    """The cluster environment, if Fabric would guess wrongly: it takes the tasks of a batch script's job for started processes."""
    launcher = find_launcher()
    if "SLURM_NTASKS" in os.environ and (launcher is None or launcher.name not in ("torchrun", "srun")):
        return LightningEnvironment()
    return None
