"""Plots of a run, each a small figure of its own, so that a page can set them side by side or below each other.

Figures are made without pyplot, whose list of open figures is global state.
"""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from s2m2.evaluation.results import TaskResults
from s2m2.reporting.score_table import STAGES
from s2m2.runs.checkpoint import Outcome

COLOURS = {
    "ink": "#23272f",
    "muted": "#6b7280",
    "line": "#d9dce1",
    "grey": "#8b93a0",
    "blue": "#2f6db3",
    "red": "#c4512d",
    "green": "#3f8f5f",
    "violet": "#8560b0",
}
"""Colours on white. In an SVG each becomes the CSS variable of its name, so that a page may choose others on black."""
FEATURE_COLOURS = {"pixels": "grey", "pretrain": "blue", "finetune": "red"}
LOSSES = {
    "loss": ("total", "ink"),
    "mixup": ("mixup", "red"),
    "class": ("class", "blue"),
    "rotation": ("rotation", "green"),
    "exemplar": ("exemplar", "violet"),
}
SHARES = {"accuracy": ("class", "blue"), "rotation_accuracy": ("rotation", "green")}
MOST_POINTS = 400
"""Points of a curve; longer ones are averaged over equal pieces."""
MOST_BINS = 40

STYLE: Any = {
    "font.size": 8,
    "text.color": COLOURS["ink"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.edgecolor": COLOURS["line"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.6,
    "xtick.color": COLOURS["line"],
    "ytick.color": COLOURS["line"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "none",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Plot:
    """A figure and what it shows in words."""

    title: str
    description: str
    """For those who cannot see it."""
    figure: Figure


def training_plots(rows: Iterable[Mapping[str, Any]], stage: str, outcome: Outcome | None) -> tuple[Plot, ...]:
    """Losses, validation accuracy, training accuracy and learning rate over the epochs of one stage.

    The rows are those of the metric log, other stages included. The outcome marks where the stage stopped; None while it runs.
    """
    own = [row for row in rows if row["stage"] == stage]
    train = [row for row in own if row["kind"] == "train"]
    judged = [row for row in own if row["kind"] == "validation"]
    plots = []
    with mpl.rc_context(STYLE):
        if train:
            plots.append(_losses(train, stage))
        if judged:
            plots.append(_validation(judged, stage, outcome))
        if train and any(name in train[0] for name in SHARES):
            plots.append(_shares(train, stage))
        if train:
            plots.append(_learning_rate(train, stage))
    return tuple(plots)


def accuracy_plot(results: Sequence[TaskResults]) -> Plot:
    """How the accuracies of tasks of one kind scatter, a histogram for each of the features, with the mean of each.

    Args:
        results: of equal ways, shots, queries and head, one for each of the features.
    """
    one = results[0]
    edges = _bin_edges(one.ways * one.queries)
    with mpl.rc_context(STYLE):
        figure, axes = _canvas("accuracy of a task (%)", "share of tasks (%)")
        for result in results:
            accuracies, colour = np.asarray(result.per_task, dtype=np.float64), COLOURS[FEATURE_COLOURS.get(result.features, "violet")]
            shares = np.histogram(accuracies, edges)[0] / len(accuracies)
            axes.stairs(shares, edges, fill=True, color=colour, alpha=0.3)
            axes.stairs(shares, edges, color=colour, linewidth=0.8)
            label = f"{STAGES.get(result.features, result.features)}: mean {result.mean:.2%}"
            axes.axvline(result.mean, color=colour, linestyle=(0, (3, 2)), label=label.replace("%", " %"))
        _in_percent(axes.xaxis, axes.yaxis)
        axes.set_xlim(*_span(results))
        axes.set_ylim(bottom=0)
        _legend_above(axes, columns=1)
    means = ", ".join(f"{result.mean:.1%} {STAGES.get(result.features, result.features)}" for result in results)
    title = f"{one.ways}-way {one.shots}-shot"
    return Plot(title=title, description=f"Histogram of the accuracies of {one.tasks:,} {title} tasks; mean {means}.", figure=figure)


def svg(plot: Plot) -> str:
    """The plot as one SVG element for a page: colours are CSS variables, text is text, nothing is loaded from elsewhere."""
    written = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": f"{plot.title} {plot.description}"}):
        plot.figure.savefig(written, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    drawing = written.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    # A page needs no name spaces, and a size that follows its own.
    drawing = re.sub(r' (xmlns(:\w+)?|version)="[^"]*"', "", drawing, count=3)
    drawing = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", drawing, count=1), count=1)
    for name, colour in COLOURS.items():
        drawing = drawing.replace(colour, f"var(--{name})")
    return drawing.replace("<svg", '<svg aria-hidden="true"', 1)


def _losses(train: Sequence[Mapping[str, Any]], stage: str) -> Plot:
    figure, axes = _canvas("epoch", "loss (nats)")
    present = [name for name in LOSSES if name in train[0]]
    # A loss of one part is that part.
    shown = present if len(present) > 2 else present[:1]
    for name in reversed(shown):
        label, colour = LOSSES[name]
        _curve(axes, train, name, COLOURS[colour], label, linewidth=1.8 if name == "loss" else 1.2)
    axes.set_ylim(bottom=0)
    _legend_above(axes, columns=4, backwards=True)
    first, last = train[0]["loss"], train[-1]["loss"]
    return Plot(
        title="Loss",
        description=f"The loss of {stage} goes from {first:.3g} to {last:.3g} over {train[-1]['epoch']:.3g} epochs.",
        figure=figure,
    )


def _validation(judged: Sequence[Mapping[str, Any]], stage: str, outcome: Outcome | None) -> Plot:
    figure, axes = _canvas("epoch", "validation accuracy (%)")
    epochs, scores = [row["epoch"] for row in judged], [row["score"] for row in judged]
    best = max(range(len(scores)), key=scores.__getitem__)
    axes.plot(epochs, scores, color=COLOURS["blue"], marker="o", markersize=3 if len(epochs) <= 60 else 0, label="_")
    if outcome is not None:
        reason = "stopped by patience" if outcome.stopped_early else "last epoch"
        axes.axvline(outcome.epochs, color=COLOURS["muted"], linestyle=(0, (3, 2)), linewidth=1, label=f"{reason} ({outcome.epochs})")
    kept = f"kept: {100 * scores[best]:.2f} % after epoch {epochs[best]:g}"
    axes.plot(epochs[best], scores[best], color=COLOURS["red"], marker="o", markersize=6, linestyle="none", label=kept, zorder=5)
    _in_percent(axes.yaxis)
    axes.margins(y=0.12)
    axes.set_xlim(left=0)
    _legend_above(axes, columns=2, backwards=True)
    words = (
        f"Validation accuracy of {stage} goes from {scores[0]:.1%} to {scores[-1]:.1%}; "
        f"the best, {scores[best]:.1%}, is after epoch {epochs[best]:g}."
    )
    return Plot(title="Accuracy on validation classes", description=words, figure=figure)


def _shares(train: Sequence[Mapping[str, Any]], stage: str) -> Plot:
    figure, axes = _canvas("epoch", "training accuracy (%)")
    shown = [name for name in SHARES if name in train[0]]
    for name in shown:
        label, colour = SHARES[name]
        _curve(axes, train, name, COLOURS[colour], label)
    _in_percent(axes.yaxis)
    axes.set_ylim(0, 1)
    _legend_above(axes, columns=2)
    reached = ", ".join(f"{SHARES[name][0]} {train[-1][name]:.1%}" for name in shown)
    return Plot(title="Accuracy on training pictures", description=f"Training accuracy of {stage} at its end: {reached}.", figure=figure)


def _learning_rate(train: Sequence[Mapping[str, Any]], stage: str) -> Plot:
    figure, axes = _canvas("epoch", "learning rate")
    _curve(axes, train, "learning_rate", COLOURS["muted"], "_")
    axes.set_ylim(0, 1.15 * max(row["learning_rate"] for row in train))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ends = f"{train[0]['learning_rate']:.3g} to {train[-1]['learning_rate']:.3g}"
    return Plot(title="Learning rate", description=f"Learning rate of {stage}: {ends}.", figure=figure)


def _canvas(across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.4, 2.6), layout="constrained")
    axes = figure.add_subplot(xlabel=across, ylabel=up)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=across == "epoch"))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    return figure, axes


def _curve(axes: Axes, rows: Sequence[Mapping[str, Any]], name: str, colour: str, label: str, linewidth: float = 1.4) -> None:
    points = np.array([(row["epoch"], row[name]) for row in rows if name in row], dtype=np.float64)
    epochs, values = _thinned(points).T
    axes.plot(epochs, values, color=colour, label=label, linewidth=linewidth, marker="o" if len(epochs) == 1 else "", markersize=3)
    # Only now: a limit that is set first would keep the axis from growing with the curve.
    axes.set_xlim(left=0, right=max(axes.get_xlim()[1], float(epochs[-1])))


def _thinned(points: Float64[np.ndarray, "point 2"]) -> Float64[np.ndarray, "piece 2"]:
    if len(points) <= MOST_POINTS:
        return points
    return np.stack([piece.mean(axis=0) for piece in np.array_split(points, MOST_POINTS)])


def _bin_edges(answers: int) -> Float64[np.ndarray, " edge"]:
    """Edges between the accuracies that a task of so many queries can have: bins hold equally many of them, or peaks would be made up."""
    step = -(-(answers + 1) // MOST_BINS)
    return (np.arange(0, answers + 1 + step, step, dtype=np.float64) - 0.5) / answers


def _span(results: Sequence[TaskResults]) -> tuple[float, float]:
    every = np.concatenate([np.asarray(result.per_task, dtype=np.float64) for result in results])
    return max(0.0, float(every.min()) - 0.03), min(1.02, float(every.max()) + 0.03)


def _in_percent(*sides: Any) -> None:
    for side in sides:
        side.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g}"))


def _legend_above(axes: Axes, columns: int, *, backwards: bool = False) -> None:
    """A legend that cannot cover a line."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, reverse=backwards, borderaxespad=0.3, handlelength=1.6, columnspacing=1.4
    )
