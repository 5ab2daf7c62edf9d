"""Settings of `s2m2 doctor`, which inspects a data set before anything is trained on it."""

from dataclasses import dataclass

from s2m2.recipe.checks import check

NAME = "{name}"
"""Stands for the name of the data set in the path of the page."""


@dataclass(frozen=True, kw_only=True)
class DoctorConfig:
    """What is inspected, and for which tasks it must be large enough."""

    data: str
    """The data: a folder that `s2m2 prepare` wrote, a drawn data set such as `glyphs`, or pictures as `s2m2 prepare` takes them."""
    dataset: str = "auto"
    """Name of the data set, as in `s2m2 prepare`; it tells how many classes and pictures are expected, and how pictures on disk are
    laid out. own: nothing is expected; auto: the one that is recognised, else own."""
    splits: str | None = None
    """Classes of base, validation and novel, as in `s2m2 prepare`; for pictures only. null: those of the source."""
    seed: int = 0
    """Seed of the draw of classes by shares, as in `s2m2 prepare`; for pictures only."""
    box: bool = False
    """Look at the part inside the bounding box only, as in `s2m2 prepare`; for pictures only."""
    rotated: bool = False
    """Count quarter turns as classes of their own, as in `s2m2 prepare`; for pictures only."""
    ways: int = 5
    """Classes of a task; a split with fewer is a finding."""
    shots: int = 5
    """Support pictures a class."""
    queries: int = 15
    """Query pictures a class; a class with fewer than shots + queries pictures is a finding."""
    pictures: int = 8
    """Pictures that the page shows of each class, at equal distances through it; 0: none."""
    output: str | None = "doctor-{name}.html"
    """Page to write, `{name}` being the name of the data set; an earlier page there is replaced. null: none."""
    workers: int = 0
    """Processes that decode pictures on disk, or threads that read a table; 0: one a CPU core."""

    def __post_init__(self) -> None:
        for name in ("ways", "shots", "queries"):
            check(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        check(self.seed >= 0, "seed", self.seed, "0 or more")
        check(0 <= self.pictures <= 100, "pictures", self.pictures, "from 0 to 100")
        check(0 <= self.workers <= 256, "workers", self.workers, "from 0 to 256")
        check(self.output is None or self.output.endswith((".html", ".htm")), "output", self.output, "a file that ends in .html, or null")
