"""Settings of `s2m2 prepare`, which makes a table of pictures on disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from s2m2.recipe.checks import check


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Which pictures become a table, and how."""

    source: Path
    """The pictures: the folder of a data set as it is distributed, a folder of class folders, or a CSV or JSON list of pictures."""
    output: Path
    """Folder of the table, which is made; a recipe names it in `data.table`."""
    dataset: Literal["auto", "own", "cifar_fs", "fc100", "cub", "mini_imagenet", "tiered_imagenet", "omniglot"] = "auto"
    """Which data set the source is. own: pictures of yours, one folder a class or named in a CSV file; auto: the one whose files are
    recognised, else own."""
    download: bool = False
    """Have torchvision download CIFAR-100 into the source folder and check it, unless it is there (cifar_fs and fc100)."""
    splits: str | None = None
    """Classes of base, validation and novel: three shares such as 0.64,0.16,0.2, drawn from the seed; a packaged class list
    (cifar_fs, fc100, cub, ...); a JSON file with the lists base, validation and novel; or a folder with train.txt, val.txt and
    test.txt, one class a line. null: those of the source where it brings any, else the shares 0.64,0.16,0.2."""
    box: bool = False
    """Keep only the part of a picture inside its bounding box, where the data set brings one (CUB)."""
    rotated: bool = False
    """Make quarter turns of a class three further classes, as is usual on Omniglot."""
    size: int | None = None
    """Side of the square that every picture is stored as, in pixels. null: as they are where all are equal squares no larger than the
    data set's usual side (own pictures: than 256), else that usual side (own pictures: 92)."""
    fit: Literal["squash", "crop"] = "squash"
    """What becomes of a picture that is not square. squash: the whole of it is squeezed, as S2M2 does; crop: the short side gets
    the size and the centre square is kept."""
    seed: int = 0
    """Seed of the draw of classes by shares."""
    workers: int = 0
    """Processes that decode; 0: one a CPU core."""
    overwrite: bool = False
    """Replace a table that is already in the output folder; nothing else is ever replaced."""
    name: str | None = None
    """Name of the data set in results and reports. null: that of the data set, or of the source folder."""

    def __post_init__(self) -> None:
        if self.download:
            check(self.dataset in ("cifar_fs", "fc100"), "dataset", self.dataset, "cifar_fs or fc100 with --download")
        check(self.size is None or 8 <= self.size <= 4096, "size", self.size, "from 8 to 4096 pixels, or null")
        check(self.seed >= 0, "seed", self.seed, "0 or more")
        check(0 <= self.workers <= 256, "workers", self.workers, "from 0 to 256")
        check(self.name is None or bool(self.name.strip()), "name", repr(self.name), "a name, or null")
        check(self.splits is None or bool(self.splits.strip()), "splits", repr(self.splits), "three shares, a class list, a path, or null")
