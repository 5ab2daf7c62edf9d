"""What the stages of one call share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch.distributed as dist
from lightning_fabric import Fabric

from s2m2.commands.device import build_fabric
from s2m2.data.catalog import ImageDatasets, load_datasets
from s2m2.data.dataset import ImageDataset
from s2m2.data.sizes import settle_size
from s2m2.errors import InputError
from s2m2.recipe import Recipe
from s2m2.runs.directory import RunDirectory, open_run
from s2m2.runs.lock import training_lock
from s2m2.runs.provenance import record


@dataclass(frozen=True, kw_only=True, eq=False)
class Session:
    """A recipe, the images, the device and the run directory."""

    recipe: Recipe
    """With the size of images settled."""
    run: RunDirectory
    fabric: Fabric
    datasets: ImageDatasets

    @property
    def dataset(self) -> ImageDataset:
        """The images that the network is trained on."""
        return self.datasets.base


Check = Callable[[Recipe, ImageDatasets, RunDirectory], None]
"""Raises `InputError` where a stage could not begin."""


def open_session(recipe: Recipe, path: Path, *checks: Check, trains: bool = False) -> Session:
    """Check everything that can be checked at once, then open the run directory: a call that fails leaves no trace.

    Args:
        trains: it is a session in which the run is trained.

    Raises:
        InputError: the device, the images or the directory cannot be used, another process trains the run, or a check says so.
    """
    fabric = build_fabric(recipe.runtime)
    datasets = load_datasets(recipe.data, recipe.evaluate)
    # From here on the recipe states what size images have, so that a run keeps it whatever is agreed on later.
    recipe = replace(recipe, data=settle_size(recipe.data, datasets.base))
    for check in checks:
        check(recipe, datasets, RunDirectory(path))
    if trains:
        with alone(fabric, RunDirectory(path)):
            pass  # before anything is written; every stage asks again, and stays alone
    run = open_run(path, recipe) if fabric.is_global_zero else RunDirectory(path)
    if fabric.is_global_zero:
        record(run)  # now, as the moment that the run started is part of it
    fabric.barrier()  # the others read what the first process writes
    return Session(recipe=recipe, run=run, fabric=fabric, datasets=datasets)


@contextmanager
def alone(fabric: Fabric, run: RunDirectory) -> Iterator[None]:
    """No other call trains this run meanwhile: each would write over what the other has reached.

    Raises:
        InputError: one does, on all processes.
    """
    asks = fabric.is_global_zero and run.path.is_dir()
    with training_lock(run) if asks else nullcontext(enter_result=True) as held:
        if not fabric.broadcast(held):
            raise InputError(f"--run {run.path} is being trained by another process")
        yield


def first_process_alone(session: Session) -> bool:
    """End the joint work of all processes; True on the one that goes on, to evaluate and report.

    The others leave at once: waiting for it would run into the time limit of a collective.
    """
    if dist.is_initialized():
        session.fabric.barrier()
        dist.destroy_process_group()
    return session.fabric.is_global_zero
