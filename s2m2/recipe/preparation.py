"""Settings of `s2m2 prepare`, which makes a dataset of images on disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from s2m2.recipe.checks import check


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Which images become a dataset, and how."""

    source: Path
    """The images: the folder of a dataset as it is distributed, a folder of class folders, or a CSV or JSON list of images."""
    output: Path
    """Folder of the dataset, which is made; a recipe names it in `data.path`."""
    dataset: Literal["auto", "own", "cifar_fs", "fc100", "cub", "mini_imagenet", "tiered_imagenet", "omniglot"] = "auto"
    """Which dataset the source is. own: images of yours, one folder a class or named in a CSV file; auto: the one whose files are
    recognized, else own."""
    download: bool = False
    """Have torchvision download CIFAR-100 into the source folder and check it, unless it is there (cifar_fs and fc100)."""
    splits: str | None = None
    """Classes of base, validation and novel: three shares such as 0.64,0.16,0.2, drawn from the seed; a packaged class list
    (cifar_fs, fc100, cub, ...); a JSON file with the lists base, validation and novel; or a folder with train.txt, val.txt and
    test.txt, one class a line. null: those of the source where it brings any, else the shares 0.64,0.16,0.2."""
    box: bool = False
    """Keep only the part of an image inside its bounding box, where the dataset brings one (CUB)."""
    rotated: bool = False
    """Make rotations of a class three further classes, as is usual on Omniglot."""
    size: int | None = None
    """Side of the square that every image is stored as, in pixels. null: as they are where all are equal squares no larger than the
    dataset's usual side (own images: than 256), else that usual side (own images: 92)."""
    fit: Literal["squash", "crop"] = "squash"
    """What becomes of an image that is not square. squash: the whole of it is squeezed, as S2M2 does; crop: the short side gets
    the size and the center square is kept."""
    seed: int = 0
    """Seed of the draw of classes by shares."""
    workers: int = 0
    """Processes that decode; 0: one a CPU core."""
    overwrite: bool = False
    """Replace a dataset that is already in the output folder; nothing else is ever replaced."""
    name: str | None = None
    """Name of the dataset in results and reports. null: that of the dataset, or of the source folder."""

    def __post_init__(self) -> None:
        if self.download:
            check(self.dataset in ("cifar_fs", "fc100"), "dataset", self.dataset, "cifar_fs or fc100 with --download")
        check(self.size is None or 8 <= self.size <= 4096, "size", self.size, "from 8 to 4096 pixels, or null")
        check(self.seed >= 0, "seed", self.seed, "0 or more")
        check(0 <= self.workers <= 256, "workers", self.workers, "from 0 to 256")
        check(self.name is None or bool(self.name.strip()), "name", repr(self.name), "a name, or null")
        check(self.splits is None or bool(self.splits.strip()), "splits", repr(self.splits), "three shares, a class list, a path, or null")
