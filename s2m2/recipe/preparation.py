"""Settings of `s2m2 prepare`, which makes a table of pictures on disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from s2m2.recipe.checks import check


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Which pictures become a table, and how."""

    source: Path
    """Folder of the pictures."""
    output: Path
    """Folder of the table, which is made; a recipe names it in `data.table`."""
    layout: Literal["auto", "class_folders", "cifar_fs"] = "auto"
    """How the source is laid out. class_folders: one folder of pictures a class; cifar_fs: the archive of Bertinetto et al.;
    auto recognises cifar_fs and else takes class_folders."""
    splits: str | None = None
    """Classes of base, validation and novel: three shares such as 0.64,0.16,0.2, drawn from the seed; a packaged class list
    (cifar_fs, fc100, cub, ...); a JSON file with the lists base, validation and novel; or a folder with train.txt, val.txt and
    test.txt, one class a line. null: those of the source where it brings any, else the shares 0.64,0.16,0.2."""
    size: int | None = None
    """Side of the square that every picture is resized to, in pixels. null: as they are where all are equal squares, else 84."""
    seed: int = 0
    """Seed of the draw of classes by shares."""
    workers: int = 0
    """Threads that decode; 0: one a CPU core."""
    overwrite: bool = False
    """Replace a table that is already in the output folder; nothing else is ever replaced."""
    name: str | None = None
    """Name of the data set in results and reports. null: that of the source folder or layout."""

    def __post_init__(self) -> None:
        check(self.size is None or 8 <= self.size <= 4096, "size", self.size, "from 8 to 4096 pixels, or null")
        check(self.seed >= 0, "seed", self.seed, "0 or more")
        check(self.workers >= 0, "workers", self.workers, "0 or more")
        check(self.name is None or bool(self.name.strip()), "name", repr(self.name), "a name, or null")
        check(self.splits is None or bool(self.splits.strip()), "splits", repr(self.splits), "three shares, a class list, a path, or null")
