"""What the stages of one call share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch.distributed as dist
from lightning_fabric import Fabric

from s2m2.commands.device import build_fabric
from s2m2.data.catalog import load_table
from s2m2.data.table import ImageTable
from s2m2.recipe import Recipe
from s2m2.runs.directory import RunDirectory, open_run


@dataclass(frozen=True, kw_only=True, eq=False)
class Session:
    """A recipe, the pictures, the device and the run directory."""

    recipe: Recipe
    run: RunDirectory
    fabric: Fabric
    table: ImageTable


Check = Callable[[Recipe, ImageTable, RunDirectory], None]
"""Raises `InputError` where a stage could not begin."""


@contextmanager
def open_session(recipe: Recipe, path: Path, *checks: Check) -> Iterator[Session]:
    """Check everything that can be checked at once, then open the run directory: a call that fails leaves no trace.

    Raises:
        InputError: the device, the pictures or the directory cannot be used, or a check says so.
    """
    fabric = build_fabric(recipe.runtime)
    table = load_table(recipe.data.table)
    for check in checks:
        check(recipe, table, RunDirectory(path))
    yield Session(recipe=recipe, run=open_run(path, recipe), fabric=fabric, table=table)
    if dist.is_initialized():
        fabric.barrier()  # no process leaves while the first one still evaluates
        dist.destroy_process_group()
