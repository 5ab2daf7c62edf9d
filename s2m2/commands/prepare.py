"""`s2m2 prepare`: pictures on disk become a table."""

import os
import time
from pathlib import Path

import numpy as np
from rich.table import Table

from s2m2.console import console, literal
from s2m2.data.preparation import prepare
from s2m2.data.sources import download_cifar100
from s2m2.data.table import SPLITS, ImageTable
from s2m2.data.writing import check_output
from s2m2.recipe import PrepareConfig


def prepare_command(config: PrepareConfig) -> None:
    """Write the table and say what is in it.

    Raises:
        InputError: the download, the source, a picture, the splits or the output cannot be used.
    """
    if config.download:
        check_output(Path(os.path.realpath(config.output)), overwrite=config.overwrite)
        download_cifar100(config.source)
    began = time.perf_counter()
    table = prepare(**{setting: value for setting, value in vars(config).items() if setting != "download"})
    seconds = time.perf_counter() - began
    console.print(_summary(table))
    height, width = table.images.shape[1:3]
    console.print(f"{len(table.images):,} pictures of {height}x{width} pixels in {seconds:.1f} s, digest {table.digest[:16]}")
    console.print(literal(f"table in {config.output}"), soft_wrap=True)


def _summary(table: ImageTable) -> Table:
    summary = Table(title=literal(table.name, "table.title"))
    for heading in ("split", "classes", "pictures"):
        summary.add_column(heading, justify="left" if heading == "split" else "right")
    for split in SPLITS:
        classes = table.splits[split]
        summary.add_row(split, f"{len(classes):,}", f"{int(np.isin(table.labels, classes).sum()):,}")
    return summary
