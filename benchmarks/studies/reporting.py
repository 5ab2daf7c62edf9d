"""What the reports of the studies share: means with intervals over seeds, tables, figures, and where the numbers come from."""

import io
import math
import shlex
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from os.path import relpath
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any

from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import t as student

from s2m2.io import replace_file, write_text
from s2m2.reports.plots import styled
from s2m2.runs.directory import RunDirectory
from s2m2.runs.provenance import record

ALPHA_COLORS = ("#7fb3d9", "#2f6db3", "#c4512d", "#5c2a17")
"""From weak to strong mixing; told apart by lightness too."""
COLORS = ("#23272f", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Of settings side by side (Okabe and Ito), distinguishable for color-blind readers."""


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean over seeds and half of its 95% interval, by Student's t with seeds - 1 degrees of freedom."""

    mean: float
    half: float

    def text(self, scale: float, digits: int, *, signed: bool = False) -> str:
        """Mean ± half width."""
        return f"{scale * self.mean:{'+' if signed else ''}.{digits}f} ± {scale * self.half:.{digits}f}"


def over_seeds(values: Sequence[float]) -> Mean:
    """The mean of two or more values, which may be differences within seeds."""
    return Mean(mean=fmean(values), half=float(student.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values)))


def table_lines(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [f"| {' | '.join(names)} |", "|" + "---|" * len(names), *(f"| {' | '.join(row)} |" for row in rows)]


@contextmanager
def figure(rows: int, columns: int, *, width: float, height: float, **options: Any) -> Iterator[tuple[Figure, Any]]:
    """A figure in the package's style with panels side by side; width and height in inches."""
    with styled(**{"axes.titlelocation": "left", "axes.titlesize": 9}):
        drawing = Figure(figsize=(width, height), layout="constrained", facecolor="white")
        yield drawing, drawing.subplots(rows, columns, **options)


def save_figure(drawing: Figure, options: Namespace, name: str) -> str:
    """Write a figure; returns its path as a report links to it."""
    with replace_file(options.figures / name) as temporary:
        content = io.BytesIO()
        drawing.savefig(content, format="png", dpi=120)
        # A palette of 256 colors makes a figure a third as large, and looks the same.
        Image.open(content).convert("RGB").quantize(256).save(temporary, format="png", optimize=True)
    return Path(relpath(options.figures / name, options.output)).as_posix()


def duration(seconds: Sequence[float]) -> str:
    """How long trials of one thread each take with two at a time."""
    minutes = round(sum(seconds) / 2 / 60)
    return f"about {minutes} minute{'s' if minutes > 1 else ''} on two cores" if minutes else "less than a minute on two cores"


def write_report(
    options: Namespace,
    name: str,
    title: str,
    images: Sequence[str],
    body: Sequence[str],
    seconds: Sequence[float],
    *,
    script: str | None = None,
) -> None:
    """The report of today: the command, the machine, the figures and the tables.

    Args:
        script: the study, where it has several reports whose names say more.
        seconds: processor seconds of each trial, those of earlier calls included.
    """
    command = shlex.join(["uv", "run", "python", f"benchmarks/studies/{script or name}.py", *(options.argv or sys.argv[1:])])
    with TemporaryDirectory() as folder:
        facts = record(RunDirectory(Path(folder)))
    machine, packages = facts["machine"], facts["packages"]
    cores = f"{machine['cores']} cores" if machine["cores"] > 1 else "1 core"
    total = f"{sum(seconds):,.{0 if sum(seconds) > 10 else 1}f}"
    lines = [
        f"# {title}, {date.today().isoformat()}",
        "",
        options.description,
        "",
        f"`{command}`",
        "",
        f"{len(seconds)} trials of one thread each; processor seconds: {fmean(seconds):.2g} a trial, {total} in all, {duration(seconds)}. "
        f"{machine['processor']}, {cores}, no GPU used. Python {facts['python']}, torch {packages['torch']}.",
        "",
        *([f"{options.images} {options.measured}", ""] if options.images else []),
        f"± is half of a 95% interval over seeds (Student's t, {options.seeds} seeds); differences are taken within a seed.",
        "",
        *(["**This was `--quick`: the numbers are meaningless.**", ""] if options.quick else []),
        *(f"![{title}]({image})\n" for image in images),
        *body,
    ]
    path = options.output / f"{name}-{date.today().isoformat()}.md"
    write_text(path, "\n".join(lines).rstrip() + "\n")
    print(f"written: {path}")
