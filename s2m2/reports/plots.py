"""Plots of scores and of training, and what all plots share: colors, size, legend, and the way into a page as SVG.

Each plot is a small figure of its own, which a page can place freely. Figures are made without pyplot, whose list of open figures is
global state.
"""

import io
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float64
from markupsafe import escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from s2m2.errors import InputError
from s2m2.evaluation.results import TaskResults, read_results
from s2m2.reports.scores import CLASSIFIERS, FEATURES, ScoreGrid, ScoreRow, latest_of_kind, score_grids
from s2m2.runs.checkpoint import Outcome
from s2m2.runs.directory import RunDirectory
from s2m2.runs.expectation import ExpectedStage
from s2m2.tasks.episodes import task_label

COLORS = {
    "ink": "#23272f",
    "muted": "#6b7280",
    "line": "#d9dce1",
    "gray": "#8b93a0",
    "blue": "#2f6db3",
    "red": "#c4512d",
    "green": "#3f8f5f",
    "violet": "#8560b0",
}
"""Colors on white. In an SVG each becomes the CSS variable of its name, so that a page can choose others on black."""
STYLE: Any = {
    "font.size": 8,
    "text.color": COLORS["ink"],
    "axes.labelcolor": COLORS["muted"],
    "axes.edgecolor": COLORS["line"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": COLORS["line"],
    "grid.linewidth": 0.6,
    "xtick.color": COLORS["line"],
    "ytick.color": COLORS["line"],
    "xtick.labelcolor": COLORS["muted"],
    "ytick.labelcolor": COLORS["muted"],
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "none",
}
CATEGORY_COLORS = ("blue", "red", "green", "violet", "gray")
DASHES = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (4, 1.5, 1, 1.5)))
"""With the colors, the looks of twenty lines."""
MARKERS = ("o", "s", "^", "D", "v", "P")
FEATURE_COLORS = {"pixels": "gray", "pretrain": "blue", "finetune": "red"}
LOSSES = {
    "loss": ("total", "ink"),
    "mixup": ("mixup", "red"),
    "class": ("class", "blue"),
    "rotation": ("rotation", "green"),
    "exemplar": ("exemplar", "violet"),
}
ACCURACIES = {"accuracy": ("class", "blue"), "rotation_accuracy": ("rotation", "green")}
MAX_BINS = 40
MAX_POINTS = 400
"""Points of a curve; longer curves are averaged over equal pieces."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Plot:
    """A figure and its description."""

    title: str
    description: str
    """In words, for those who cannot see it."""
    figure: Figure


@contextmanager
def styled(**more: Any) -> Iterator[None]:
    """The look of all plots, with more settings over it. A user's `matplotlibrc` counts for nothing: it may ask for LaTeX, say."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE | more)
        yield


def svg(plot: Plot) -> str:
    """The plot as one SVG element for a page: colors are CSS variables, text is text, nothing is loaded from elsewhere."""
    file = io.StringIO()
    with styled(**{"svg.hashsalt": f"{plot.title} {plot.description}"}):
        plot.figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    element = file.getvalue()
    element = element[element.index("<svg") :]
    # A page needs no name spaces, and sets the size itself.
    element = re.sub(r' (xmlns(:\w+)?|version)="[^"]*"', "", element, count=3)
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element, count=1), count=1)
    for name, color in COLORS.items():
        element = element.replace(color, f"var(--{name})")
    start, _, content = element.partition(">")
    return f'{start} role="img"><title>{escape(plot.description)}</title>{content}'


def save_figure(run: RunDirectory, path: Path) -> Path:
    """Write the report's first plot of the scores of a run, on white, as PNG, SVG or PDF by the suffix of the path.

    Accuracy against shots if several were evaluated, else the distribution of the accuracies of tasks.

    Raises:
        InputError: the run has no results.
    """
    grids = latest_of_kind(score_grids(read_results(run)))
    plots = [plot for grid in grids for plot in (*accuracy_curves(grid), *distributions(grid))]
    if not plots:
        raise InputError(f"{run.path} has no results to plot")
    with styled():
        plots[0].figure.savefig(path, dpi=200, facecolor="white")
    return path


def canvas(across: str, up: str) -> tuple[Figure, Axes]:
    """An empty figure of the common size, with the names of its axes."""
    figure = Figure(figsize=(4.4, 2.6), layout="constrained")
    axes = figure.add_subplot(xlabel=across, ylabel=up)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=across == "epoch"))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    return figure, axes


def in_percent(*axes: Any) -> None:
    """Label axes of fractions in percent."""
    for axis in axes:
        axis.set_major_formatter(FuncFormatter(lambda fraction, _: f"{100 * fraction:.3g}"))


def legend_above(axes: Axes, columns: int, *, reverse: bool = False) -> None:
    """A legend that cannot cover a line."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, reverse=reverse, borderaxespad=0.3, handlelength=1.6, columnspacing=1.4
    )


def classifier_style(name: str) -> dict[str, Any]:
    """Color and dashes of a few-shot classifier, the same in every plot: by its position in the catalog, or by its name."""
    catalog = list(CLASSIFIERS)
    number = catalog.index(name) if name in CLASSIFIERS else zlib.crc32(name.encode())
    return {
        "color": COLORS[CATEGORY_COLORS[number % len(CATEGORY_COLORS)]],
        "linestyle": DASHES[number // len(CATEGORY_COLORS) % len(DASHES)],
    }


def accuracy_curves(grid: ScoreGrid) -> tuple[Plot, ...]:
    """Accuracy against shots for each number of ways, and against ways for each number of shots, wherever there are at least two.

    One line per classifier on the last features; bars are 95% intervals over tasks, mostly too short to be seen.
    """
    rows = [row for row in grid.rows if row.results[-1] is not None and row.protocol != "variable"]
    plots = []
    with styled():
        for across, fixed in (("shots", "ways"), ("ways", "shots")):
            for value in dict.fromkeys(getattr(row, fixed) for row in rows):
                same = [row for row in rows if getattr(row, fixed) == value]
                if len({getattr(row, across) for row in same}) > 1:
                    plots.append(_curve_plot(same, across, f"{value} {fixed if value > 1 else fixed[:-1]}", grid.features[-1]))
    return tuple(plots)


def _curve_plot(rows: Sequence[ScoreRow], across: str, fixed: str, features: str) -> Plot:
    figure, axes = canvas({"shots": "labeled images per class", "ways": "classes of a task"}[across], "accuracy (%)")
    lines: dict[str, list[ScoreRow]] = {}
    for row in sorted(rows, key=lambda row: getattr(row, across)):
        lines.setdefault(row.title, []).append(row)
    variants: dict[str, int] = {}
    words = []
    for title, points in lines.items():
        name = points[0].classifier
        variants[name] = variants.get(name, -1) + 1
        marker = MARKERS[variants[name] % len(MARKERS)]
        values = [(getattr(row, across), row.results[-1]) for row in points]
        numbers, means, intervals = zip(*((n, one.mean, one.interval) for n, one in values if one is not None), strict=True)
        axes.errorbar(numbers, means, yerr=intervals, **classifier_style(name), marker=marker, markersize=3, label=title)
        words.append(f"{title}: " + ", ".join(f"{number}: {mean:.1%}" for number, mean in zip(numbers, means, strict=True)))
    ticks = sorted({getattr(row, across) for row in rows})
    if ticks[-1] > 8 * ticks[0]:
        axes.set_xscale("log")
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
    in_percent(axes.yaxis)
    axes.set_ylim(top=min(1.0, axes.get_ylim()[1]))
    legend_above(axes, columns=2)
    figure.set_size_inches(4.4, 2.3 + 0.17 * -(-len(lines) // 2))
    title = f"Accuracy against {across}, {fixed}"
    return Plot(title=title, description=f"{title}, {FEATURES.get(features, features)}: {'; '.join(words)}.", figure=figure)


def distributions(grid: ScoreGrid) -> tuple[Plot, ...]:
    """The distribution of the accuracies of tasks with the first classifier of a grid, for each kind of task."""
    measured = [[result for result in row.results if result is not None] for row in grid.rows if row.classifier == grid.rows[0].classifier]
    return tuple(distribution_plot(results) for results in measured if results)


def distribution_plot(results: Sequence[TaskResults]) -> Plot:
    """The distribution of the accuracies of tasks of one kind, a histogram for each kind of features, with the mean of each.

    Args:
        results: of equal ways, shots, queries and classifier, one for each kind of features.
    """
    one = results[0]
    edges = _bin_edges(one.ways * one.queries if one.protocol in ("fixed", "dirichlet") else MAX_BINS)
    with styled():
        figure, axes = canvas("accuracy of a task (%)", "fraction of tasks (%)")
        for result in results:
            accuracies, color = np.asarray(result.per_task, dtype=np.float64), COLORS[FEATURE_COLORS.get(result.features, "violet")]
            fractions = np.histogram(accuracies, edges)[0] / len(accuracies)
            axes.stairs(fractions, edges, fill=True, color=color, alpha=0.3)
            axes.stairs(fractions, edges, color=color, linewidth=0.8)
            label = f"{FEATURES.get(result.features, result.features)}: mean {100 * result.mean:.2f} %"
            axes.axvline(result.mean, color=color, linestyle=(0, (3, 2)), label=label)
        in_percent(axes.xaxis, axes.yaxis)
        every = np.concatenate([result.per_task for result in results])
        axes.set_xlim(max(0.0, float(every.min()) - 0.03), min(1.0, float(every.max()) + 0.03))
        axes.set_ylim(bottom=0)
        legend_above(axes, columns=1)
    means = ", ".join(f"{result.mean:.1%} {FEATURES.get(result.features, result.features)}" for result in results)
    title = task_label(one.ways, one.shots, one.protocol)
    return Plot(title=title, description=f"Histogram of the accuracies of {one.tasks:,} {title} tasks; mean {means}.", figure=figure)


def _bin_edges(answers: int) -> Float64[np.ndarray, " edge"]:
    """Edges between the possible accuracies of a task of so many queries: unequal numbers of them per bin would make false peaks."""
    step = -(-(answers + 1) // MAX_BINS)
    return (np.arange(0, answers + 1 + step, step, dtype=np.float64) - 0.5) / answers


def training_plots(
    rows: Iterable[Mapping[str, Any]], stage: str, outcome: Outcome | None, expected: ExpectedStage | None = None
) -> tuple[Plot, ...]:
    """Losses, validation accuracy, training accuracy and learning rate over the epochs of one stage.

    Args:
        rows: the metric log, other stages included.
        outcome: marks where the stage stopped; None while it runs.
        expected: validation scores that the recipe should give, shown beside the measured ones.
    """
    of_stage = [row for row in rows if row["stage"] == stage]
    train = [row for row in of_stage if row["kind"] == "train"]
    validation = [row for row in of_stage if row["kind"] == "validation"]
    plots = []
    with styled():
        if train:
            plots.append(_losses(train, stage))
        if validation:
            plots.append(_validation(validation, stage, outcome, expected))
        if train and any(name in train[0] for name in ACCURACIES):
            plots.append(_accuracies(train, stage))
        if train:
            plots.append(_learning_rate(train, stage))
    return tuple(plots)


def _losses(train: Sequence[Mapping[str, Any]], stage: str) -> Plot:
    figure, axes = canvas("epoch", "loss (nats)")
    present = [name for name in LOSSES if name in train[0]]
    # A loss of one part is that part.
    shown = present if len(present) > 2 else present[:1]
    for name in reversed(shown):
        label, color = LOSSES[name]
        _curve(axes, train, name, COLORS[color], label, linewidth=1.8 if name == "loss" else 1.2)
    axes.set_ylim(bottom=0)
    legend_above(axes, columns=4, reverse=True)
    first, last = train[0]["loss"], train[-1]["loss"]
    words = f"The loss of {stage} goes from {first:.3g} to {last:.3g} over {train[-1]['epoch']:.3g} epochs."
    return Plot(title="Loss", description=words, figure=figure)


def _validation(rows: Sequence[Mapping[str, Any]], stage: str, outcome: Outcome | None, expected: ExpectedStage | None) -> Plot:
    figure, axes = canvas("epoch", "validation accuracy (%)")
    epochs, scores = [row["epoch"] for row in rows], [row["score"] for row in rows]
    best = max(range(len(scores)), key=scores.__getitem__)
    axes.plot(epochs, scores, color=COLORS["blue"], marker="o", markersize=3 if len(epochs) <= 60 else 0, label="_")
    if expected is not None:
        _expected_curve(axes, expected)
    if outcome is not None:
        reason = "stopped by patience" if outcome.stopped_early else "last epoch"
        axes.axvline(outcome.epochs, color=COLORS["muted"], linestyle=(0, (3, 2)), linewidth=1, label=f"{reason} ({outcome.epochs})")
    label = f"best: {100 * scores[best]:.2f} % after epoch {epochs[best]:g}"
    axes.plot(epochs[best], scores[best], color=COLORS["red"], marker="o", markersize=6, linestyle="none", label=label, zorder=5)
    in_percent(axes.yaxis)
    axes.margins(y=0.12)
    low, high = axes.get_ylim()
    axes.set_ylim(max(0.0, low), min(1.0, high))
    axes.set_xlim(left=0)
    legend_above(axes, columns=2, reverse=True)
    words = (
        f"Validation accuracy of {stage} goes from {scores[0]:.1%} to {scores[-1]:.1%}; "
        f"the best, {scores[best]:.1%}, is after epoch {epochs[best]:g}."
    )
    if expected is not None and (shared := [row for row in rows if row["epoch"] in expected.epochs]):
        words += f" Expected of the recipe after epoch {shared[-1]['epoch']:g}: {expected.epochs[int(shared[-1]['epoch'])].score:.1%}."
    return Plot(title="Accuracy on validation classes", description=words, figure=figure)


def _expected_curve(axes: Axes, expected: ExpectedStage) -> None:
    """What the recipe should give, and how far below it a run is behind."""
    epochs = sorted(expected.epochs)
    scores = np.array([expected.epochs[epoch].score for epoch in epochs])
    margins = np.array([expected.margin(epoch) for epoch in epochs])
    axes.plot(epochs, scores, color=COLORS["muted"], linestyle=(0, (1, 1)), linewidth=1.4, label="expected of the recipe")
    axes.plot(epochs, scores - margins, color=COLORS["gray"], linewidth=0.8, label="behind below this")


def _accuracies(train: Sequence[Mapping[str, Any]], stage: str) -> Plot:
    figure, axes = canvas("epoch", "training accuracy (%)")
    shown = [name for name in ACCURACIES if name in train[0]]
    for name in shown:
        label, color = ACCURACIES[name]
        _curve(axes, train, name, COLORS[color], label)
    in_percent(axes.yaxis)
    axes.set_ylim(0, 1)
    legend_above(axes, columns=2)
    reached = ", ".join(f"{ACCURACIES[name][0]} {train[-1][name]:.1%}" for name in shown)
    return Plot(title="Accuracy on training images", description=f"Final training accuracy of {stage}: {reached}.", figure=figure)


def _learning_rate(train: Sequence[Mapping[str, Any]], stage: str) -> Plot:
    figure, axes = canvas("epoch", "learning rate")
    _curve(axes, train, "learning_rate", COLORS["muted"], "_")
    axes.set_ylim(0, 1.15 * max(row["learning_rate"] for row in train))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ends = f"{train[0]['learning_rate']:.3g} to {train[-1]['learning_rate']:.3g}"
    return Plot(title="Learning rate", description=f"Learning rate of {stage}: {ends}.", figure=figure)


def _curve(axes: Axes, rows: Sequence[Mapping[str, Any]], name: str, color: str, label: str, linewidth: float = 1.4) -> None:
    points = np.array([(row["epoch"], row[name]) for row in rows if name in row], dtype=np.float64)
    epochs, values = _averaged(points).T
    axes.plot(epochs, values, color=color, label=label, linewidth=linewidth, marker="o" if len(epochs) == 1 else "", markersize=3)
    # Only now: a limit set first would keep the axis from growing with the curve.
    axes.set_xlim(left=0, right=max(axes.get_xlim()[1], float(epochs[-1])))


def _averaged(points: Float64[np.ndarray, "point 2"]) -> Float64[np.ndarray, "piece 2"]:
    if len(points) <= MAX_POINTS:
        return points
    return np.stack([piece.mean(axis=0) for piece in np.array_split(points, MAX_POINTS)])
