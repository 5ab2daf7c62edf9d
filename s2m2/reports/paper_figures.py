"""Accuracy against shots and against ways as figures for a paper: of a column's width, vectors with their fonts, readable in gray."""

import math
import re
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from s2m2.console import encodable
from s2m2.errors import InputError
from s2m2.evaluation.results import TaskResults
from s2m2.io import replace_file
from s2m2.recipe.command_settings import TableInterval
from s2m2.reports.paper_rows import Column, PaperTable
from s2m2.reports.plots import COLORS, DASHES, MARKERS, in_percent, styled

WIDTH, HEIGHT, LINE = 3.3, 2.1, 0.15
"""Inches: a column of a paper, the axes, and a line of the legend."""
SHADES = ("ink", "red", "gray", "blue", "green")
"""Colors of the curves, dark and light in turn; with dashes and markers, sixty curves differ without color."""
LEGEND_CHARACTERS = 46
ENDINGS = (".pdf", ".svg")
LOOK = {"pdf.fonttype": 42, "svg.fonttype": "path", "text.parse_math": False, "font.size": 8, "legend.fontsize": 7}
"""Letters as outlines, in PDF of an embedded font; and no formulas in names."""
NAMES = {"shots": "labeled images per class", "ways": "classes of a task"}


@dataclass(frozen=True, kw_only=True, eq=False)
class PaperFigure:
    """A figure and the name of its files, without ending."""

    name: str
    figure: Figure


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A row of the table over the columns of a figure."""

    label: str
    numbers: tuple[int, ...]
    means: tuple[float, ...]
    half_widths: tuple[float, ...]
    """Of the intervals; NaN where none is known or wanted."""


def paper_figures(made: PaperTable, interval: TableInterval) -> list[PaperFigure]:
    """Accuracy against shots for each number of ways, and against ways for each number of shots, wherever there are two or more.

    Args:
        interval: what the bands are: 95% intervals over classes (classes, both), for these classes again (tasks), or nothing (none).

    Raises:
        InputError: there is one number of shots and of ways only.
    """
    figures: dict[str, PaperFigure] = {}
    for across, fixed in (("shots", "ways"), ("ways", "shots")):
        for key in dict.fromkeys(_fixed(column, fixed) for column in made.columns if column.ways and column.shots):
            numbers = [position for position, column in enumerate(made.columns) if _fixed(column, fixed) == key]
            if len(numbers) > 1:
                column = made.columns[numbers[0]]
                name = _file_name(column, f"{getattr(column, fixed)}{fixed[:-1]}", across, figures)
                figures[name] = PaperFigure(name=name, figure=_draw(_curves(made, numbers, across, interval), across))
    if not figures:
        raise InputError("--figures: a curve takes results of two numbers of shots or of ways, and there is one of each")
    return list(figures.values())


def write_figures(folder: Path, figures: Sequence[PaperFigure]) -> list[Path]:
    """Write each figure as PDF and as SVG, each whole or not at all; equal results give equal bytes."""
    paths = []
    for one in figures:
        for ending in ENDINGS:
            path = folder / f"{one.name}{ending}"
            with replace_file(path) as temporary, styled(**LOOK, **{"svg.hashsalt": one.name}), warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box stands for it
                dates = {"CreationDate": None} if ending == ".pdf" else {"Date": None}
                one.figure.savefig(temporary, format=ending[1:], metadata=dates)
            paths.append(path)
    return paths


def _fixed(column: Column, fixed: str) -> tuple[object, ...]:
    """What the columns of a figure share."""
    return column.dataset, column.split, column.protocol, column.concentration, getattr(column, fixed)


def _file_name(column: Column, fixed: str, across: str, taken: dict[str, PaperFigure]) -> str:
    """Such as `cifar_fs-novel-5way-shots`; letters that a file name may not have become lines."""
    kind = [] if column.protocol == "fixed" else [f"{column.protocol}{column.concentration:g}" if column.concentration else column.protocol]
    name = "-".join(re.sub(r"[^\w.]+", "_", part).strip(".") for part in (column.dataset, column.split, *kind, fixed, across))
    return name if name not in taken else f"{name}-{sum(other.startswith(name) for other in taken) + 1}"


def _curves(made: PaperTable, columns: Sequence[int], across: str, interval: TableInterval) -> list[Curve]:
    curves = []
    for row in made.rows:
        points = [(getattr(made.columns[number], across), result) for number in columns if (result := row.results[number]) is not None]
        if points:
            curves.append(
                Curve(
                    label=", ".join(filter(None, (row.labels[name] for name in made.label_names))),
                    numbers=tuple(number for number, _ in points),
                    means=tuple(result.mean for _, result in points),
                    half_widths=tuple(_half_width(result, interval) for _, result in points),
                )
            )
    return curves


def _half_width(result: TaskResults, interval: TableInterval) -> float:
    value = {"tasks": result.interval, "none": None}.get(interval, result.class_interval)
    return value if value is not None and math.isfinite(value) else math.nan


def _draw(curves: Sequence[Curve], across: str) -> Figure:
    labels = [textwrap.fill(encodable(curve.label), LEGEND_CHARACTERS) for curve in curves]
    lines = sum(label.count("\n") + 1 for label in labels) if len(curves) > 1 else 0
    with styled(**LOOK):
        figure = Figure(figsize=(WIDTH, HEIGHT + LINE * lines), layout="constrained")
        axes = figure.add_subplot(xlabel=NAMES[across], ylabel="accuracy (%)")
        drawn = [_draw_curve(axes, curve, label, number) for number, (curve, label) in enumerate(zip(curves, labels, strict=True))]
        _set_ticks(axes, sorted({number for curve in curves for number in curve.numbers}))
        in_percent(axes.yaxis)
        low, high = axes.get_ylim()
        axes.set_ylim(max(0.0, low), min(1.0, high))
        if len(curves) > 1:
            figure.legend(drawn, labels, loc="outside lower left", ncols=1, handlelength=3.2, labelspacing=0.25)
    return figure


def _draw_curve(axes: Axes, curve: Curve, label: str, number: int) -> Line2D:
    color = COLORS[SHADES[number % len(SHADES)]]
    dashes, marker = DASHES[number % len(DASHES)], MARKERS[number % len(MARKERS)]
    low, high = ([mean + sign * half for mean, half in zip(curve.means, curve.half_widths, strict=True)] for sign in (-1, 1))
    if not all(map(math.isnan, low)):
        axes.fill_between(curve.numbers, low, high, color=color, alpha=0.13, linewidth=0)
    look: Any = {"color": color, "linestyle": dashes, "marker": marker, "markersize": 3.5, "linewidth": 1.2}
    return axes.plot(curve.numbers, curve.means, label=label, **look)[0]


def _set_ticks(axes: Axes, ticks: Sequence[int]) -> None:
    if ticks[-1] > 8 * ticks[0]:
        axes.set_xscale("log")
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
