"""Scores as plots: how tasks scatter, and accuracy against shots and ways."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from jaxtyping import Float64

from s2m2.evaluation.results import TaskResults
from s2m2.reporting.plots import COLORS, STYLE, Plot, canvas, in_percent, legend_above
from s2m2.reporting.score_table import STAGES, ScoreGrid, ScoreRow, task_label

FEATURE_COLORS = {"pixels": "gray", "pretrain": "blue", "finetune": "red"}
LINE_COLORS, DASHES = ("blue", "red", "green", "violet", "gray"), ("-", (0, (4, 2)), (0, (1, 1.5)))
"""Together they tell fifteen lines apart."""
MAX_BINS = 40


def accuracy_plot(results: Sequence[TaskResults]) -> Plot:
    """How the accuracies of tasks of one kind scatter, a histogram for each of the features, with the mean of each.

    Args:
        results: of equal ways, shots, queries and classifier, one for each of the features.
    """
    one = results[0]
    edges = _bin_edges(one.ways * one.queries if one.protocol in ("fixed", "dirichlet") else MAX_BINS)
    with mpl.rc_context(STYLE):
        figure, axes = canvas("accuracy of a task (%)", "share of tasks (%)")
        for result in results:
            accuracies, color = np.asarray(result.per_task, dtype=np.float64), COLORS[FEATURE_COLORS.get(result.features, "violet")]
            shares = np.histogram(accuracies, edges)[0] / len(accuracies)
            axes.stairs(shares, edges, fill=True, color=color, alpha=0.3)
            axes.stairs(shares, edges, color=color, linewidth=0.8)
            label = f"{STAGES.get(result.features, result.features)}: mean {result.mean:.2%}"
            axes.axvline(result.mean, color=color, linestyle=(0, (3, 2)), label=label.replace("%", " %"))
        in_percent(axes.xaxis, axes.yaxis)
        axes.set_xlim(*_span(results))
        axes.set_ylim(bottom=0)
        legend_above(axes, columns=1)
    means = ", ".join(f"{result.mean:.1%} {STAGES.get(result.features, result.features)}" for result in results)
    title = task_label(one.ways, one.shots, one.protocol)
    return Plot(title=title, description=f"Histogram of the accuracies of {one.tasks:,} {title} tasks; mean {means}.", figure=figure)


def curves(grid: ScoreGrid) -> tuple[Plot, ...]:
    """Accuracy against shots for each number of ways, and against ways for each number of shots, wherever there are two or more.

    A line for each classifier on the last features; bars are 95% intervals over tasks, mostly too short to be seen.
    """
    rows = [row for row in grid.rows if row.results[-1] is not None and row.protocol != "variable"]
    drawn = []
    with mpl.rc_context(STYLE):
        for across, fixed in (("shots", "ways"), ("ways", "shots")):
            for value in dict.fromkeys(getattr(row, fixed) for row in rows):
                lines = _lines([row for row in rows if getattr(row, fixed) == value], across)
                if any(len(points) > 1 for points in lines.values()):
                    drawn.append(_curve_plot(lines, across, f"{value} {fixed if value > 1 else fixed[:-1]}", grid.features[-1]))
    return tuple(drawn)


def _lines(rows: Sequence[ScoreRow], across: str) -> dict[str, list[tuple[int, float, float]]]:
    """Points of each classifier: shots or ways, mean, half width of the interval."""
    lines: dict[str, list[tuple[int, float, float]]] = {}
    for row in rows:
        result = row.results[-1]
        if result is not None:
            lines.setdefault(row.title, []).append((getattr(row, across), result.mean, result.interval))
    return {name: sorted(points) for name, points in lines.items()}


def _curve_plot(lines: dict[str, list[tuple[int, float, float]]], across: str, fixed: str, features: str) -> Plot:
    label = {"shots": "labeled images a class", "ways": "classes of a task"}[across]
    figure, axes = canvas(label, "accuracy (%)")
    for number, (name, points) in enumerate(lines.items()):
        places, means, halves = zip(*points, strict=True)
        color, dashes = COLORS[LINE_COLORS[number % len(LINE_COLORS)]], DASHES[number // len(LINE_COLORS) % len(DASHES)]
        axes.errorbar(places, means, yerr=halves, color=color, linestyle=dashes, marker="o", markersize=3, label=name)
    every = sorted({place for points in lines.values() for place, _, _ in points})
    if every[-1] > 8 * every[0]:
        axes.set_xscale("log")
    axes.set_xticks(every, map(str, every))
    axes.minorticks_off()
    in_percent(axes.yaxis)
    legend_above(axes, columns=2)
    figure.set_size_inches(4.4, 2.3 + 0.17 * -(-len(lines) // 2))
    found = "; ".join(f"{name}: " + ", ".join(f"{place}: {mean:.1%}" for place, mean, _ in points) for name, points in lines.items())
    title = f"Accuracy against {across}, {fixed}"
    return Plot(title=title, description=f"{title}, {STAGES.get(features, features)}: {found}.", figure=figure)


def _bin_edges(answers: int) -> Float64[np.ndarray, " edge"]:
    """Edges between the accuracies that a task of so many queries can have: bins hold equally many of them, or peaks would be made up."""
    step = -(-(answers + 1) // MAX_BINS)
    return (np.arange(0, answers + 1 + step, step, dtype=np.float64) - 0.5) / answers


def _span(results: Sequence[TaskResults]) -> tuple[float, float]:
    every = np.concatenate([np.asarray(result.per_task, dtype=np.float64) for result in results])
    return max(0.0, float(every.min()) - 0.03), min(1.02, float(every.max()) + 0.03)
