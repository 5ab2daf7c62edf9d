"""`Session`: what the stages of one call share, and the lock that keeps other calls away from the same run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass

import torch.distributed as dist
from lightning_fabric import Fabric

from s2m2.data.catalog import ImageDatasets
from s2m2.data.dataset import ImageDataset
from s2m2.errors import InputError
from s2m2.io import remove_leftovers
from s2m2.recipe import Recipe
from s2m2.runs.directory import RunDirectory, open_run, opening_lock, training_lock
from s2m2.runs.provenance import record
from s2m2.runs.trained_images import check_images, check_proportions, places, record_images
from s2m2.runs.watch import Watch


@dataclass(frozen=True, kw_only=True, eq=False)
class Session:
    """A recipe, its images, the device and the run directory."""

    recipe: Recipe
    """With the image size resolved."""
    run: RunDirectory
    fabric: Fabric
    datasets: ImageDatasets
    watch: Watch | None = None
    """Compares the training with what is expected of the recipe; on the first process, where that is known."""

    @property
    def dataset(self) -> ImageDataset:
        """The images of the base classes."""
        return self.datasets.base


Check = Callable[[Recipe, ImageDatasets, RunDirectory], None]
"""Raises `InputError` where a stage could not start."""


def begin_session(recipe: Recipe, run: RunDirectory, fabric: Fabric, datasets: ImageDatasets, *, trains: bool) -> Session:
    """Open the run directory on the first process, once the recipe is checked.

    Args:
        trains: the session trains the run, so no other process may.

    Raises:
        InputError: the directory cannot be used, or another process trains the run.
    """
    if trains:
        with alone(fabric, run):
            pass  # before anything is written; every stage locks the run again
    if fabric.is_global_zero:
        _open_alone(recipe, run, datasets, trains=trains)
    fabric.barrier()  # the other processes read what the first one writes
    return Session(recipe=recipe, run=run, fabric=fabric, datasets=datasets)


def _open_alone(recipe: Recipe, run: RunDirectory, datasets: ImageDatasets, *, trains: bool) -> None:
    """Open the run where no other process does: of two starts at once, the second finds the recipe and the images of the first."""
    created = not run.path.exists()
    try:
        run.path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        pass  # a file, which `open_run` refuses
    except OSError as error:
        raise InputError(f"--run {run.path} cannot be written: {error.strerror}") from error
    try:
        with opening_lock(run) as locked:
            if not locked:
                raise InputError(f"--run {run.path} is being opened by another process; start again when that is done")
            check_images(recipe.data, datasets, run)  # once more, as another start may have come first
            if trains:
                check_proportions(recipe.data, datasets, run)
            open_run(run.path, recipe, moved=places(run))
            for folder in (run.path, run.features, run.results):
                remove_leftovers(folder)
            if trains:
                record_images(run, datasets)
            record(run)  # now, as the provenance includes the time of the start
    except BaseException:
        with suppress(OSError):
            if created:
                run.path.rmdir()
        raise


@contextmanager
def alone(fabric: Fabric, run: RunDirectory) -> Iterator[None]:
    """Keep other calls from training this run: each would overwrite the progress of the other.

    Raises:
        InputError: another process trains the run; on all processes of this call.
    """
    locks = fabric.is_global_zero and run.path.is_dir()
    with training_lock(run) if locks else nullcontext(enter_result=True) as locked:
        if not fabric.broadcast(locked):
            raise InputError(f"--run {run.path} is being trained by another process")
        yield


def first_process_alone(session: Session) -> bool:
    """End the joint work of all processes; True on the first one, which evaluates and reports.

    The others leave at once: waiting for it would exceed the time limit of a collective.
    """
    if dist.is_initialized():
        session.fabric.barrier()
        dist.destroy_process_group()
    return session.fabric.is_global_zero
