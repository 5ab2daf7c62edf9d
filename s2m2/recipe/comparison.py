"""Settings of `s2m2 compare`."""

from dataclasses import dataclass

from s2m2.recipe.checks import check


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Two results, or two runs, whose classifiers met the same tasks."""

    first: str
    """A file of results, or the directory of a run or of `evaluate --features`."""
    second: str | None = None
    """What it is compared with: a file of results where the first is one, else the directory of a run. By default: the first run itself."""
    classifiers: tuple[str, ...] = ()
    """Head of the first and classifier of the second, or one for both; by default: every classifier that both have, with itself."""
    features: tuple[str, ...] = ()
    """Features of the first and of the second, such as pretrain finetune, or one for both; by default: those of the last stage of each."""
    output: str | None = None
    """Also write the dataset to this file, as CSV or Markdown by its ending, .csv or .md. By default: it is printed only."""

    def __post_init__(self) -> None:
        for name in ("classifiers", "features"):
            values = getattr(self, name)
            check(len(values) <= 2, name, list(values), "one name, or two")
        ending = self.output is None or self.output.endswith((".csv", ".md"))
        check(ending, "output", self.output, "a name that ends with .csv or .md")
