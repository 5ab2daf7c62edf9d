"""Who started the processes of a run: `torchrun`, SLURM's `srun`, or nobody, so that Fabric starts those of this machine itself."""

import os
from dataclasses import dataclass

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from s2m2.errors import InputError
from s2m2.recipe import RuntimeConfig

BY_HAND = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
"""With these in its environment, a call on each machine finds the others without a launcher."""
INTERACTIVE = ("bash", "interactive")
"""Job names of SLURM under which Fabric takes no notice of `srun`; inside `salloc`, `srun` inherits such a name."""


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """What started this process along with others."""

    name: str
    processes: int
    """On all machines."""
    each: int | None
    """On each machine, where it says."""


def find_launcher() -> Launcher | None:
    """The launcher of this process, by the variables that it leaves in the environment.

    Every process of an `srun` has the variables of a step. A batch script of SLURM has only those of its job; what it calls is alone.

    Raises:
        InputError: a variable that is not a number, or several tasks of an `srun` that would not know of each other.
    """
    found = os.environ
    if "WORLD_SIZE" in found:
        name = "torchrun" if "LOCAL_WORLD_SIZE" in found else "the launcher"
        return Launcher(name=name, processes=_number("WORLD_SIZE"), each=_number_if_set("LOCAL_WORLD_SIZE"))
    if "SLURM_STEP_NUM_TASKS" not in found or "SLURM_NTASKS" not in found:
        return None
    job = found.get("SLURM_JOB_NAME")
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
    """Raise `InputError` where processes would wait for others that nobody starts, or not know of each other."""
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


def own_environment() -> ClusterEnvironment | None:
    """How processes find each other, where Fabric would guess wrongly: it takes the tasks of a batch script's job for processes started."""
    launcher = find_launcher()
    if "SLURM_NTASKS" in os.environ and (launcher is None or launcher.name not in ("torchrun", "srun")):
        return LightningEnvironment()
    return None
