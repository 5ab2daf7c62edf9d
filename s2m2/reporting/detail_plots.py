"""What one classifier did on one kind of task, as plots: confusions, probabilities, the features of a task."""

import matplotlib as mpl
import numpy as np
from matplotlib.patches import Rectangle

from s2m2.evaluation.details import Details, Reliability
from s2m2.reporting.plots import COLORS, STYLE, Plot, canvas, in_percent, legend_above
from s2m2.reporting.projection import Projection

MAX_CLASSES = 20
"""Classes up to which a confusion matrix is drawn; of more, the most confused pairs are listed only."""
MIN_SHARE = 0.001
"""Share of all queries below which a bin of confidence is too empty to be drawn."""
WAY_COLORS, WAY_MARKERS = ("blue", "red", "green", "violet", "gray"), ("o", "s", "^", "D", "v", "P")
LONGEST_NAME = 18


def confusion_plot(details: Details) -> Plot | None:
    """The confusion matrix in percent of the queries of each class; None where no classes, or too many, were in the tasks."""
    shown = [place for place, entry in enumerate(details.classes) if entry.queries]
    if not 2 <= len(shown) <= MAX_CLASSES:
        return None
    line = {place: number for number, place in enumerate(shown)}
    names = [short_name(details.classes[place].name) for place in shown]
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure, axes = canvas("predicted class", "true class")
        size = 1.5 + 0.27 * len(shown)
        figure.set_size_inches(max(size, 4.4) + 0.5, max(size, 3.2))
        for true, predicted, count in details.confusion:
            share, right = count / details.classes[true].queries, true == predicted
            place, color = (line[predicted] - 0.5, line[true] - 0.5), COLORS["blue" if right else "red"]
            # The tint of a mistake is stronger than that of a right answer: mistakes are spread over many cells.
            axes.add_patch(Rectangle(place, 1, 1, facecolor=color, alpha=min(1.0, 0.06 + (0.6 if right else 2.4) * share), linewidth=0))
            if share >= 0.005:
                text = f"{100 * share:.0f}"
                axes.text(line[predicted], line[true], text, ha="center", va="center", fontsize=6.5, color=COLORS["ink"])
        axes.set_xlim(-0.5, len(shown) - 0.5)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xticks(range(len(shown)), names, rotation=90)
        axes.set_yticks(range(len(shown)), names)
        axes.tick_params(length=0)
    worst = "; ".join(f"{true} for {predicted}, {share:.1%}" for true, predicted, share in confused_pairs(details, 3))
    words = f"Confusion matrix of {len(shown)} classes; most often taken: {worst}."
    return Plot(title="Confusion matrix", description=words, figure=figure)


def confused_pairs(details: Details, most: int) -> list[tuple[str, str, float]]:
    """True class, predicted class and the share of the true class's queries, of the pairs with the largest shares."""
    wrong = [
        (details.classes[true].name, details.classes[predicted].name, count / details.classes[true].queries)
        for true, predicted, count in details.confusion
        if true != predicted
    ]
    return sorted(wrong, key=lambda pair: -pair[2])[:most]


def reliability_plot(details: Details, task: str) -> Plot:
    """Accuracy against confidence, bin by bin, before and after the temperature; on the dashed line a probability is what it says."""
    calibration = details.calibration
    series = [("as scored", calibration.before, "gray")]
    if calibration.after is not None:
        series.append((f"temperature {calibration.temperature:.3g}", calibration.after, "blue"))
    with mpl.rc_context(STYLE):
        figure, axes = canvas("probability of the predicted class (%)", "accuracy (%)")
        figure.set_size_inches(4.4, 3.2)
        axes.plot([0, 1], [0, 1], color=COLORS["muted"], linestyle=(0, (3, 2)), linewidth=1, label="_")
        for name, reliability, color in series:
            confidence, accuracy, share = _points(reliability)
            axes.plot(confidence, accuracy, color=COLORS[color], linewidth=1, label=f"{name}: error {100 * reliability.error:.1f} %")
            axes.scatter(confidence, accuracy, s=4 + 160 * share, color=COLORS[color], alpha=0.55, linewidths=0, label="_")
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        in_percent(axes.xaxis, axes.yaxis)
        legend_above(axes, columns=1)
    found = "; ".join(f"{name}: expected calibration error {reliability.error:.1%}" for name, reliability, _ in series)
    return Plot(title=task, description=f"Accuracy against probability of the predicted class, {task}: {found}.", figure=figure)


def projection_plot(projection: Projection) -> Plot:
    """The features of one task in the plane: a color for each class, stars for the support."""
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure, axes = canvas("", "")
        figure.set_size_inches(4.4, 3.0 + 0.17 * -(-len(projection.class_names) // 2))
        for way, name in enumerate(projection.class_names):
            color = COLORS[WAY_COLORS[way % len(WAY_COLORS)]]
            marker = WAY_MARKERS[way // len(WAY_COLORS) % len(WAY_MARKERS)]
            own = projection.ways == way
            query, support = projection.points[own & ~projection.support], projection.points[own & projection.support]
            axes.scatter(query[:, 0], query[:, 1], s=12, color=color, marker=marker, alpha=0.65, linewidths=0, label=short_name(name))
            axes.scatter(support[:, 0], support[:, 1], s=90, color=color, marker="*", edgecolors=COLORS["ink"], linewidths=0.7, label="_")
        axes.set_xticks([])
        axes.set_yticks([])
        legend_above(axes, columns=2)
    names = ", ".join(projection.class_names)
    words = f"t-SNE of the features of one task with the classes {names}; stars mark the support."
    return Plot(title="Its features in the plane", description=words, figure=figure)


def short_name(name: str) -> str:
    """A class name that fits beside a plot. A dollar would begin a formula."""
    return (name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…").replace("$", r"\$")


def _points(reliability: Reliability) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    bins = np.array(reliability.bins, dtype=np.float64)
    share = bins[:, 0] / bins[:, 0].sum()
    bins, share = bins[share >= MIN_SHARE], share[share >= MIN_SHARE]
    return bins[:, 1] / bins[:, 0], bins[:, 2] / bins[:, 0], share
