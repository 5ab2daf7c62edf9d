"""Settings of `s2m2 import`, which turns files that S2M2's authors released into ours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from s2m2.recipe.checks import check


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """Which file is imported, and into what."""

    source: Path
    """The released file: a torch checkpoint of WRN-28-10, or features as HDF5 or as a pickled dict."""
    output: Path
    """What is made and must not be there yet: for a checkpoint a run directory, which `s2m2 evaluate --run` scores; for features
    a file that ends in .safetensors or .npz, which `s2m2 evaluate --features` scores."""
    kind: Literal["auto", "checkpoint", "features"] = "auto"
    """What the source is. auto: told by its first bytes."""
    stage: Literal["pretrain", "finetune"] = "finetune"
    """Stage that the weights of a checkpoint count as the result of. finetune: S2M2_R and every other file that shall only be scored;
    pretrain: a file of the rotation stage."""
    dataset: str = "glyphs"
    """Images of the run of a checkpoint, `data.path` of its recipe; `s2m2 evaluate --run DIR --data.path` can name others later."""
    image_size: int = 80
    """Side of the square that the network of a checkpoint sees, in pixels: 32 for CIFAR-FS, 80 for the authors' other datasets."""

    def __post_init__(self) -> None:
        check(self.image_size >= 28, "image_size", self.image_size, "28 pixels or more")
        check(bool(self.dataset.strip()), "dataset", repr(self.dataset), "a dataset or a folder")
