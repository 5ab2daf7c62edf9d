"""Settings of `s2m2 doctor`, which inspects a dataset before anything is trained on it."""

from dataclasses import dataclass

from s2m2.recipe.checks import check

NAME = "{name}"
"""Stands for the name of the dataset in the path of the page."""


@dataclass(frozen=True, kw_only=True)
class DoctorConfig:
    """What is inspected, and for which tasks it must be large enough."""

    data: str
    """The data: a folder that `s2m2 prepare` wrote, a drawn dataset such as `glyphs`, or images as `s2m2 prepare` takes them."""
    dataset: str = "auto"
    """Name of the dataset, as in `s2m2 prepare`; it tells how many classes and images are expected, and how images on disk are
    laid out. own: nothing is expected; auto: the one that is recognized, else own."""
    splits: str | None = None
    """Classes of base, validation and novel, as in `s2m2 prepare`; for images only. null: those of the source."""
    seed: int = 0
    """Seed of the draw of classes by shares, as in `s2m2 prepare`; for images only."""
    box: bool = False
    """Look at the part inside the bounding box only, as in `s2m2 prepare`; for images only."""
    rotated: bool = False
    """Count rotations as classes of their own, as in `s2m2 prepare`; for images only."""
    ways: int = 5
    """Classes of a task; a split with fewer is a finding."""
    shots: int = 5
    """Support images a class."""
    queries: int = 15
    """Query images a class; a class with fewer than shots + queries images is a finding."""
    images: int = 8
    """Images that the page shows of each class, at equal distances through it; 0: none."""
    output: str | None = "doctor-{name}.html"
    """Page to write, `{name}` being the name of the dataset; an earlier page there is replaced. null: none."""
    workers: int = 0
    """Processes that decode images on disk, or threads that read a dataset; 0: one a CPU core."""

    def __post_init__(self) -> None:
        for name in ("ways", "shots", "queries"):
            check(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        check(self.seed >= 0, "seed", self.seed, "0 or more")
        check(0 <= self.images <= 100, "images", self.images, "from 0 to 100")
        check(0 <= self.workers <= 256, "workers", self.workers, "from 0 to 256")
        check(self.output is None or self.output.endswith((".html", ".htm")), "output", self.output, "a file that ends in .html, or null")
