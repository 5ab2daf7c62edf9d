"""`s2m2 prepare`: images on disk become a dataset."""

import os
import time
from pathlib import Path

import numpy as np
from rich.table import Table

from s2m2.console import console, literal
from s2m2.data.dataset import SPLITS, ImageDataset
from s2m2.data.preparation import prepare
from s2m2.data.sources import download_cifar100
from s2m2.data.writing import check_output
from s2m2.recipe import PrepareConfig


def prepare_command(config: PrepareConfig) -> None:
    """Write the dataset and say what is in it.

    Raises:
        InputError: the download, the source, an image, the splits or the output cannot be used.
    """
    if config.download:
        check_output(Path(os.path.realpath(config.output)), overwrite=config.overwrite)
        download_cifar100(config.source)
    began = time.perf_counter()
    dataset = prepare(**{setting: value for setting, value in vars(config).items() if setting != "download"})
    seconds = time.perf_counter() - began
    console.print(_summary(dataset))
    height, width = dataset.images.shape[1:3]
    console.print(f"{len(dataset.images):,} images of {height}x{width} pixels in {seconds:.1f} s, digest {dataset.digest[:16]}")
    console.print(literal(f"dataset in {config.output}"), soft_wrap=True)


def _summary(dataset: ImageDataset) -> Table:
    summary = Table(title=literal(dataset.name, "dataset.title"))
    for heading in ("split", "classes", "images"):
        summary.add_column(heading, justify="left" if heading == "split" else "right")
    for split in SPLITS:
        classes = dataset.splits[split]
        summary.add_row(split, f"{len(classes):,}", f"{int(np.isin(dataset.labels, classes).sum()):,}")
    return summary
