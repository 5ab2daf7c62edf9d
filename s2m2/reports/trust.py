"""The report on how far the scores can be trusted: calibration, open-set classes, and one classifier class by class."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from s2m2.data.catalog import ImageDatasets
from s2m2.data.dataset import SPLITS
from s2m2.evaluation.details import ClassDetails, Details
from s2m2.evaluation.results import TaskResults
from s2m2.reports.images import HardTaskTiles, hard_task_tiles, short_name
from s2m2.reports.plots import COLORS, Plot, canvas, in_percent, legend_above, styled
from s2m2.reports.scores import FEATURES, ScoreGrid, ScoreRow

MAX_LISTED = 10
"""Classes and pairs in the lists of the hardest ones."""
MAX_CONFUSION = 20
"""Classes of a confusion matrix; with more, only the most confused pairs are listed."""
MIN_FRACTION = 0.001
"""Of all items; bins of confidence with fewer are not drawn."""


@dataclass(frozen=True, kw_only=True)
class TrustRow:
    """One classifier on one kind of task, after the last stage; texts, in percent unless noted."""

    task: str
    classifier: str
    error: str
    """Expected calibration error."""
    error_after: str
    """The same after temperature scaling."""
    temperature: str
    """A number."""
    auroc: str
    accepted: str
    rejected: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Closeup:
    """One classifier on one kind of task, class by class."""

    title: str
    confusion: Plot | None
    hardest_classes: tuple[ClassDetails, ...]
    classes: int
    confused: tuple[tuple[str, str, float], ...]
    """True class, predicted class, fraction of the true class's queries."""
    hardest_tasks: tuple[HardTaskTiles, ...]


def trust_rows(grids: Sequence[ScoreGrid]) -> tuple[TrustRow, ...]:
    """Every result with details on the last features of its grid."""
    return tuple(_trust_row(row, details) for grid in grids for row in grid.rows if (details := _last_details(row)) is not None)


def reliability_plots(grids: Sequence[ScoreGrid]) -> tuple[Plot, ...]:
    """Of the first classifier of each grid on the last features, for each kind of task."""
    return tuple(
        reliability_plot(details, row.task)
        for grid in grids
        for row in grid.rows
        if (details := _last_details(row)) is not None and row.title == grid.rows[0].title
    )


def left_out(grids: Sequence[ScoreGrid]) -> tuple[str, ...]:
    """What was not measured and why, each reason once."""
    results = [result for grid in grids for row in grid.rows for result in row.results if result is not None]
    return tuple(dict.fromkeys(reason for result in results if result.details is not None for reason in result.details.left_out))


def closeup(grids: Sequence[ScoreGrid], datasets: ImageDatasets) -> Closeup | None:
    """The first classifier on the first kind of task with the last features; None without details."""
    for grid in grids:
        for row in grid.rows:
            for result in reversed(row.results):
                if result is not None and result.details is not None:
                    return _closeup(row, result, result.details, datasets)
    return None


def confusion_plot(details: Details) -> Plot | None:
    """The confusion matrix in percent of the queries of each class; None with too few or too many classes."""
    classes = [number for number, entry in enumerate(details.classes) if entry.queries]
    if not 2 <= len(classes) <= MAX_CONFUSION:
        return None
    line = {number: position for position, number in enumerate(classes)}
    names = [short_name(details.classes[number].name) for number in classes]
    with styled(**{"axes.grid": False}):
        figure, axes = canvas("predicted class", "true class")
        size = 1.5 + 0.27 * len(classes)
        figure.set_size_inches(max(size, 4.4) + 0.5, max(size, 3.2))
        for true, predicted, count in details.confusion:
            fraction, correct = count / details.classes[true].queries, true == predicted
            corner, color = (line[predicted] - 0.5, line[true] - 0.5), COLORS["blue" if correct else "red"]
            # Mistakes are tinted more strongly than correct answers, as they are spread over many cells.
            alpha = min(1.0, 0.06 + (0.6 if correct else 2.4) * fraction)
            axes.add_patch(Rectangle(corner, 1, 1, facecolor=color, alpha=alpha, linewidth=0))
            if fraction >= 0.005:
                text = f"{100 * fraction:.0f}"
                axes.text(line[predicted], line[true], text, ha="center", va="center", fontsize=6.5, color=COLORS["ink"])
        axes.set_xlim(-0.5, len(classes) - 0.5)
        axes.set_ylim(len(classes) - 0.5, -0.5)
        axes.set_xticks(range(len(classes)), names, rotation=90)
        axes.set_yticks(range(len(classes)), names)
        axes.tick_params(length=0)
    worst = "; ".join(f"{true} as {predicted}, {fraction:.1%}" for true, predicted, fraction in confused_pairs(details, 3))
    words = f"Confusion matrix of {len(classes)} classes; most frequent confusions: {worst}."
    return Plot(title="Confusion matrix", description=words, figure=figure)


def confused_pairs(details: Details, maximum: int) -> list[tuple[str, str, float]]:
    """True class, predicted class and fraction of the true class's queries, of the pairs with the largest fractions."""
    pairs = [
        (details.classes[true].name, details.classes[predicted].name, count / details.classes[true].queries)
        for true, predicted, count in details.confusion
        if true != predicted
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:maximum]


def reliability_plot(details: Details, task: str) -> Plot:
    """Accuracy against confidence, bin by bin, before and after temperature scaling."""
    calibration = details.calibration
    series = [("uncalibrated", calibration.before, "gray")]
    if calibration.after is not None:
        series.append((f"temperature {calibration.temperature:.3g}", calibration.after, "blue"))
    with styled():
        figure, axes = canvas("probability of the predicted class (%)", "accuracy (%)")
        figure.set_size_inches(4.4, 3.2)
        for name, reliability, color in series:
            draw_reliability(axes, reliability.bins, COLORS[color], f"{name}: error {100 * reliability.error:.1f} %")
        frame_reliability(axes)
    words = "; ".join(f"{name}: expected calibration error {reliability.error:.1%}" for name, reliability, _ in series)
    return Plot(title=task, description=f"Accuracy against probability of the predicted class, {task}: {words}.", figure=figure)


def draw_reliability(axes: Axes, bins: Sequence[tuple[float, float, float]], color: str, label: str) -> None:
    """One line of a reliability diagram; the area of a dot is the fraction of items in its bin.

    Args:
        bins: of each, the number of items, the sum of confidences and the number of correct predictions.
    """
    counts = np.array(bins, dtype=np.float64)
    fractions = counts[:, 0] / counts[:, 0].sum()
    counts, fractions = counts[fractions >= MIN_FRACTION], fractions[fractions >= MIN_FRACTION]
    confidence, accuracy = counts[:, 1] / counts[:, 0], counts[:, 2] / counts[:, 0]
    axes.plot(confidence, accuracy, color=color, linewidth=1, label=label)
    axes.scatter(confidence, accuracy, s=4 + 160 * fractions, color=color, alpha=0.55, linewidths=0, label="_", clip_on=False)


def frame_reliability(axes: Axes) -> None:
    """Axes, legend and the diagonal of perfect calibration."""
    axes.plot([0, 1], [0, 1], color=COLORS["muted"], linestyle=(0, (3, 2)), linewidth=1, label="_", zorder=1)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    in_percent(axes.xaxis, axes.yaxis)
    legend_above(axes, columns=1)


def _last_details(row: ScoreRow) -> Details | None:
    last = row.results[-1]
    return last.details if last is not None else None


def _closeup(row: ScoreRow, result: TaskResults, details: Details, datasets: ImageDatasets) -> Closeup:
    queried = [entry for entry in details.classes if entry.queries]
    split = next(split for split in SPLITS if split == result.split)
    same_images = result.data_digest == datasets.digest(split)  # only then are the indices those of these images
    image = partial(datasets.image, split)
    return Closeup(
        title=f"{row.title}, {row.task}, {FEATURES.get(result.features, result.features)}",
        confusion=confusion_plot(details),
        hardest_classes=tuple(sorted(queried, key=lambda entry: entry.accuracy)[:MAX_LISTED]),
        classes=len(queried),
        confused=tuple(confused_pairs(details, MAX_LISTED)),
        hardest_tasks=tuple(hard_task_tiles(task, image) for task in details.hardest) if same_images else (),
    )


def _trust_row(row: ScoreRow, details: Details) -> TrustRow:
    calibration, open_set = details.calibration, details.open_set
    return TrustRow(
        task=row.task,
        classifier=row.title,
        error=f"{100 * calibration.before.error:.1f}",
        error_after=f"{100 * calibration.after.error:.1f}" if calibration.after is not None else "",
        temperature=f"{calibration.temperature:.3g}" if calibration.temperature is not None else "",
        auroc=f"{100 * open_set.score.auroc:.1f}" if open_set is not None else "",
        accepted=f"{100 * open_set.score.accepted:.1f}" if open_set is not None else "",
        rejected=f"{100 * open_set.score.rejected:.1f}" if open_set is not None else "",
    )
