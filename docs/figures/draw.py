"""Draws the pictures of `docs/explanation`: `uv run python docs/figures/draw.py` writes the SVG files beside this script.

They are committed, so that a code host shows them and a build needs no time for them.
"""

import os
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from benchmarks.class_interval import outcomes
from s2m2 import NearestMean, SoftKMeans
from s2m2.data.glyphs import draw_glyphs
from s2m2.evaluation.intervals import class_error, mean_and_interval
from s2m2.tasks.episodes import EpisodeSpec

FOLDER = Path(__file__).parent
BLUE, ORANGE, GREEN, GRAY = "#4477aa", "#ee7733", "#228833", "#777777"
PALE = {BLUE: "#dce8f3", ORANGE: "#fce4d6", GREEN: "#dcefe0", GRAY: "#eeeeee"}
STYLE = {"svg.hashsalt": "s2m2", "font.size": 13, "font.family": "DejaVu Sans", "axes.spines.top": False, "axes.spines.right": False}


def canvas(width: float, height: float) -> tuple[Any, Any]:
    """A figure with one axes in its own inches, without frame."""
    fig = plt.figure(figsize=(width, height))
    ax = fig.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    ax.axis("off")
    return fig, ax


def box(ax: Any, x: float, y: float, width: float, height: float, text: str, color: str = BLUE) -> None:
    """A labeled box with its lower left corner at x, y."""
    style = "round,pad=0,rounding_size=0.08"
    ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=PALE[color], edgecolor=color, linewidth=1.5))
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", linespacing=1.4)


def arrow(ax: Any, start: tuple[float, float], end: tuple[float, float], color: str = GRAY) -> None:
    """An arrow from start to end."""
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=14, linewidth=1.5, color=color, shrinkA=0, shrinkB=0))


def tile(ax: Any, image: np.ndarray, x: float, y: float, size: float) -> None:
    """An image with its lower left corner at x, y."""
    ax.imshow(image, extent=(x, x + size, y, y + size), interpolation="nearest", zorder=2)
    ax.add_patch(plt.Rectangle((x, y), size, size, fill=False, edgecolor=GRAY, linewidth=1, zorder=3))


def framed(ax: Any, width: float, height: float) -> None:
    """Images change the limits of an axes; bring them back."""
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")


def stage_1(image: np.ndarray) -> Any:
    """Classes and rotations together."""
    fig, ax = canvas(7, 3.1)
    for number in range(4):
        x, y = 0.15 + 0.85 * (number % 2), 1.65 - 0.85 * (number // 2)
        tile(ax, np.rot90(image, number), x, y, 0.75)
    ax.text(0.95, 2.65, "an image, rotated", ha="center")
    arrow(ax, (1.85, 1.6), (2.35, 1.6))
    box(ax, 2.4, 1.1, 1.35, 1.0, "backbone", GRAY)
    for y, text, color in ((1.85, "which class?", BLUE), (0.55, "which rotation?", ORANGE)):
        arrow(ax, (3.8, 1.6), (4.35, y + 0.4))
        box(ax, 4.4, y, 1.75, 0.8, text, color)
    ax.text(6.25, 2.25, r"$L_\mathrm{class}$", va="center")
    ax.text(6.25, 0.95, r"$L_\mathrm{rot}$", va="center")
    framed(ax, 7, 3.1)
    return fig


def stage_2(one: np.ndarray, other: np.ndarray) -> Any:
    """Manifold mixup before the third stage."""
    fig, ax = canvas(7, 3.1)
    for y, image, weight in ((1.85, one, "1 - λ"), (0.45, other, "λ")):
        tile(ax, image, 0.1, y, 0.8)
        arrow(ax, (0.95, y + 0.4), (1.2, y + 0.4))
        box(ax, 1.25, y, 0.75, 0.8, "$f_1$", GRAY)
        box(ax, 2.15, y, 0.75, 0.8, "$f_2$", GRAY)
        arrow(ax, (2.95, y + 0.4), (3.42, 1.55 + (0.14 if y > 1 else -0.14)), GREEN)
        ax.text(3.22, y + (0.52 if y > 1 else 0.05), weight, color=GREEN, ha="left")
    ax.add_patch(plt.Circle((3.6, 1.55), 0.2, facecolor=PALE[GREEN], edgecolor=GREEN, linewidth=1.5))
    ax.text(3.6, 1.55, "+", ha="center", va="center", color=GREEN)
    arrow(ax, (3.82, 1.55), (4.05, 1.55), GREEN)
    box(ax, 4.1, 1.15, 0.7, 0.8, "$f_3$", GRAY)
    box(ax, 4.9, 1.15, 0.7, 0.8, "head", BLUE)
    arrow(ax, (5.65, 1.55), (5.9, 1.55))
    ax.text(5.95, 1.78, "(1 - λ) of", va="center", fontsize=11)
    ax.text(5.95, 1.33, "λ of", va="center", fontsize=11)
    tile(ax, one, 6.65, 1.65, 0.27)
    tile(ax, other, 6.35, 1.2, 0.27)
    framed(ax, 7, 3.1)
    return fig


def task() -> Any:
    """The same task, seen query by query and all together."""
    generator = torch.Generator().manual_seed(4)
    centers = torch.tensor([[2.0, 0.4], [0.5, 2.1], [1.9, 2.1]])
    support = centers + torch.tensor([[0.3, 0.75], [0.1, -0.6], [0.3, 0.3]])
    labels = torch.arange(3).repeat_interleave(14)
    query = centers[labels] + 0.32 * torch.randn(len(labels), 2, generator=generator)
    fig, axes = plt.subplots(1, 2, figsize=(7, 3.4))
    inductive, transductive = NearestMean().fit(support, [0, 1, 2]), SoftKMeans(scale=4.0, steps=3).fit(support, [0, 1, 2])
    colors = np.array([BLUE, ORANGE, GREEN])
    for ax, model, title in ((axes[0], inductive, "each query by itself"), (axes[1], transductive, "all queries together")):
        said = model.predict(query)
        ax.scatter(*query.T, c=colors[said], s=22, linewidths=0)
        ax.scatter(*support.T, c=colors, s=190, marker="*", edgecolors="black", linewidths=0.9, zorder=3)
        right = (said == labels.numpy()).mean()
        ax.set(xticks=[], yticks=[], title=f"{title}:\n{right:.0%} right")
    means = [query[torch.from_numpy(transductive.predict(query) == way)].mean(0) for way in range(3)]
    for start, mean in zip(support, means, strict=True):
        arrow(axes[1], tuple(start.tolist()), tuple(mean.tolist()), "black")
    fig.tight_layout()
    return fig


def intervals(trials: int = 20, truth: float = 51.87) -> Any:
    """Samples of twenty classes with both intervals.

    Args:
        truth: percent, by `benchmarks/reports/class_interval-2026-11-21.md`.
    """
    spec = EpisodeSpec(ways=5, shots=1, queries=10, tasks=1000)
    fig, ax = plt.subplots(figsize=(7, 3.6))
    for trial in range(trials):
        measured = outcomes(20, 600, spec, trial)
        values = measured.accuracies.tolist()
        error = class_error(values, measured.class_tasks.tolist(), measured.class_sums.tolist())
        assert error is not None
        mean, half = (100 * value for value in mean_and_interval(values))
        ax.errorbar(trial, mean, 100 * error.interval, color=BLUE, linewidth=2, zorder=1)
        ax.errorbar(trial, mean, half, color=ORANGE, linewidth=6, zorder=2)
    ax.axhline(truth, color="black", linewidth=1, linestyle="--")
    ax.set(xticks=[], xlabel=f"{trials} samples of 20 novel classes", ylabel="accuracy, percent")
    ax.text(trials - 0.4, truth + 0.4, "truth", ha="left", fontsize=11)
    ax.set_xlim(-1, trials + 1.5)
    fig.tight_layout()
    return fig


def main() -> None:
    """Write every picture."""
    torch.set_num_threads(1)
    mpl.use("svg")
    mpl.rcParams.update(STYLE)
    os.environ["SOURCE_DATE_EPOCH"] = "0"
    glyphs = draw_glyphs(classes=20, images_per_class=2).images
    figures = {"stage_1": stage_1(glyphs[14]), "stage_2": stage_2(glyphs[6], glyphs[10]), "task": task(), "two_intervals": intervals()}
    for name, figure in figures.items():
        figure.savefig(FOLDER / f"{name}.svg", facecolor="white", metadata={"Date": None})


if __name__ == "__main__":
    main()
