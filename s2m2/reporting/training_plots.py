"""Curves of a training stage over its epochs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from s2m2.reporting.plots import COLORS, STYLE, Plot, canvas, in_percent, legend_above
from s2m2.runs.checkpoint import Outcome

LOSSES = {
    "loss": ("total", "ink"),
    "mixup": ("mixup", "red"),
    "class": ("class", "blue"),
    "rotation": ("rotation", "green"),
    "exemplar": ("exemplar", "violet"),
}
SHARES = {"accuracy": ("class", "blue"), "rotation_accuracy": ("rotation", "green")}
MAX_POINTS = 400
"""Points of a curve; longer ones are averaged over equal pieces."""


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


def _losses(train: Sequence[Mapping[str, Any]], stage: str) -> Plot:
    figure, axes = canvas("epoch", "loss (nats)")
    present = [name for name in LOSSES if name in train[0]]
    # A loss of one part is that part.
    shown = present if len(present) > 2 else present[:1]
    for name in reversed(shown):
        label, color = LOSSES[name]
        _curve(axes, train, name, COLORS[color], label, linewidth=1.8 if name == "loss" else 1.2)
    axes.set_ylim(bottom=0)
    legend_above(axes, columns=4, backwards=True)
    first, last = train[0]["loss"], train[-1]["loss"]
    return Plot(
        title="Loss",
        description=f"The loss of {stage} goes from {first:.3g} to {last:.3g} over {train[-1]['epoch']:.3g} epochs.",
        figure=figure,
    )


def _validation(judged: Sequence[Mapping[str, Any]], stage: str, outcome: Outcome | None) -> Plot:
    figure, axes = canvas("epoch", "validation accuracy (%)")
    epochs, scores = [row["epoch"] for row in judged], [row["score"] for row in judged]
    best = max(range(len(scores)), key=scores.__getitem__)
    axes.plot(epochs, scores, color=COLORS["blue"], marker="o", markersize=3 if len(epochs) <= 60 else 0, label="_")
    if outcome is not None:
        reason = "stopped by patience" if outcome.stopped_early else "last epoch"
        axes.axvline(outcome.epochs, color=COLORS["muted"], linestyle=(0, (3, 2)), linewidth=1, label=f"{reason} ({outcome.epochs})")
    kept = f"kept: {100 * scores[best]:.2f} % after epoch {epochs[best]:g}"
    axes.plot(epochs[best], scores[best], color=COLORS["red"], marker="o", markersize=6, linestyle="none", label=kept, zorder=5)
    in_percent(axes.yaxis)
    axes.margins(y=0.12)
    axes.set_xlim(left=0)
    legend_above(axes, columns=2, backwards=True)
    words = (
        f"Validation accuracy of {stage} goes from {scores[0]:.1%} to {scores[-1]:.1%}; "
        f"the best, {scores[best]:.1%}, is after epoch {epochs[best]:g}."
    )
    return Plot(title="Accuracy on validation classes", description=words, figure=figure)


def _shares(train: Sequence[Mapping[str, Any]], stage: str) -> Plot:
    figure, axes = canvas("epoch", "training accuracy (%)")
    shown = [name for name in SHARES if name in train[0]]
    for name in shown:
        label, color = SHARES[name]
        _curve(axes, train, name, COLORS[color], label)
    in_percent(axes.yaxis)
    axes.set_ylim(0, 1)
    legend_above(axes, columns=2)
    reached = ", ".join(f"{SHARES[name][0]} {train[-1][name]:.1%}" for name in shown)
    return Plot(title="Accuracy on training images", description=f"Training accuracy of {stage} at its end: {reached}.", figure=figure)


def _learning_rate(train: Sequence[Mapping[str, Any]], stage: str) -> Plot:
    figure, axes = canvas("epoch", "learning rate")
    _curve(axes, train, "learning_rate", COLORS["muted"], "_")
    axes.set_ylim(0, 1.15 * max(row["learning_rate"] for row in train))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ends = f"{train[0]['learning_rate']:.3g} to {train[-1]['learning_rate']:.3g}"
    return Plot(title="Learning rate", description=f"Learning rate of {stage}: {ends}.", figure=figure)


def _curve(axes: Axes, rows: Sequence[Mapping[str, Any]], name: str, color: str, label: str, linewidth: float = 1.4) -> None:
    points = np.array([(row["epoch"], row[name]) for row in rows if name in row], dtype=np.float64)
    epochs, values = _thinned(points).T
    axes.plot(epochs, values, color=color, label=label, linewidth=linewidth, marker="o" if len(epochs) == 1 else "", markersize=3)
    # Only now: a limit that is set first would keep the axis from growing with the curve.
    axes.set_xlim(left=0, right=max(axes.get_xlim()[1], float(epochs[-1])))


def _thinned(points: Float64[np.ndarray, "point 2"]) -> Float64[np.ndarray, "piece 2"]:
    if len(points) <= MAX_POINTS:
        return points
    return np.stack([piece.mean(axis=0) for piece in np.array_split(points, MAX_POINTS)])
