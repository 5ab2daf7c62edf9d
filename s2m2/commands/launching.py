"""Who started the processes of a run: `torchrun`, SLURM's `srun`, or nobody, so that Fabric starts those of this machine itself."""

import os
from dataclasses import dataclass

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from s2m2.errors import InputError
from s2m2.recipe import RuntimeConfig

BY_HAND = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
"""With these in its environment, a call on each machine finds the others without a launcher."""


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
    """
    found = os.environ
    if "WORLD_SIZE" in found:
        each = found.get("LOCAL_WORLD_SIZE")
        name = "the launcher" if each is None else "torchrun"
        return Launcher(name=name, processes=int(found["WORLD_SIZE"]), each=None if each is None else int(each))
    if "SLURM_STEP_NUM_TASKS" in found and "SLURM_NTASKS" in found and found.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        each = found.get("SLURM_NTASKS_PER_NODE")
        return Launcher(name="srun", processes=int(found["SLURM_NTASKS"]), each=None if each is None else int(each))
    return None


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
