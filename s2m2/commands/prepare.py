"""`s2m2 prepare`: images on disk become a dataset."""

import time

from s2m2.console import console, literal
from s2m2.data.prepare import counts_table, prepare
from s2m2.recipe import PrepareConfig


def prepare_command(config: PrepareConfig) -> None:
    """Write the dataset and print its counts, size and digest.

    Raises:
        InputError: the download, the source, an image, the splits or the output cannot be used.
    """
    start = time.perf_counter()
    dataset = prepare(**vars(config))
    seconds = time.perf_counter() - start
    console.print(counts_table(dataset))
    height, width = dataset.images.shape[1:3]
    console.print(f"{len(dataset.images):,} images of {height}x{width} pixels in {seconds:.1f} s, digest {dataset.digest[:16]}")
    console.print(literal(f"dataset in {config.output}"), soft_wrap=True)
