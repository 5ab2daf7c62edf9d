"""What the report says about how far the scores can be trusted: calibration, unknown classes, and one classifier in detail."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from s2m2.data.catalog import ImageDatasets
from s2m2.data.dataset import SPLITS
from s2m2.evaluation.details import ClassDetails, Details
from s2m2.evaluation.results import TaskResults
from s2m2.reporting.detail_plots import confused_pairs, confusion_plot, reliability_plot
from s2m2.reporting.hard_tasks import DrawnHardTask, draw_hard_tasks
from s2m2.reporting.plots import Plot
from s2m2.reporting.score_table import STAGES, ScoreGrid, ScoreRow

MAX_LISTED = 10
"""Classes and pairs in the lists of the hardest ones."""


@dataclass(frozen=True, kw_only=True)
class TrustRow:
    """One classifier on one kind of task, after the last stage; texts, in percent where not said otherwise."""

    task: str
    classifier: str
    error: str
    """Expected calibration error as scored."""
    error_after: str
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
    """True class, predicted class, share of the true class's queries."""
    hardest_tasks: tuple[DrawnHardTask, ...]


def trust_rows(grids: Sequence[ScoreGrid]) -> tuple[TrustRow, ...]:
    """Every result on the last features of its grid that has details."""
    found = [(row, row.results[-1]) for grid in grids for row in grid.rows]
    return tuple(_trust_row(row, result.details) for row, result in found if result is not None and result.details is not None)


def reliability_plots(grids: Sequence[ScoreGrid]) -> tuple[Plot, ...]:
    """Of the first classifier of each grid on the last features, for each kind of task."""
    return tuple(
        reliability_plot(result.details, row.task)
        for grid in grids
        for row, result in ((row, row.results[-1]) for row in grid.rows)
        if result is not None and result.details is not None and row.title == grid.rows[0].title
    )


def left_out(grids: Sequence[ScoreGrid]) -> tuple[str, ...]:
    """What was not measured and why, each reason once."""
    results = [result for grid in grids for row in grid.rows for result in row.results if result is not None]
    return tuple(dict.fromkeys(reason for result in results if result.details is not None for reason in result.details.left_out))


def closeup(grids: Sequence[ScoreGrid], datasets: ImageDatasets) -> Closeup | None:
    """The first classifier on the first kind of task with the last features; None where no details are known."""
    for grid in grids:
        for row in grid.rows:
            for result in reversed(row.results):
                if result is not None and result.details is not None:
                    return _closeup(row, result, result.details, datasets)
    return None


def _closeup(row: ScoreRow, result: TaskResults, details: Details, datasets: ImageDatasets) -> Closeup:
    met = [entry for entry in details.classes if entry.queries]
    split = next(split for split in SPLITS if split == result.split)
    ours = result.data_digest == datasets.digest(split)  # only then the rows are those of these images
    return Closeup(
        title=f"{row.title}, {row.task}, {STAGES.get(result.features, result.features)}",
        confusion=confusion_plot(details),
        hardest_classes=tuple(sorted(met, key=lambda entry: entry.accuracy)[:MAX_LISTED]),
        classes=len(met),
        confused=tuple(confused_pairs(details, MAX_LISTED)),
        hardest_tasks=draw_hard_tasks(details.hardest, partial(datasets.image, split)) if ours else (),
    )


def _trust_row(row: ScoreRow, details: Details) -> TrustRow:
    calibration, unknown = details.calibration, details.unknown
    return TrustRow(
        task=row.task,
        classifier=row.title,
        error=f"{100 * calibration.before.error:.1f}",
        error_after=f"{100 * calibration.after.error:.1f}" if calibration.after is not None else "",
        temperature=f"{calibration.temperature:.3g}" if calibration.temperature is not None else "",
        auroc=f"{100 * unknown.score.auroc:.1f}" if unknown is not None else "",
        accepted=f"{100 * unknown.score.accepted:.1f}" if unknown is not None else "",
        rejected=f"{100 * unknown.score.rejected:.1f}" if unknown is not None else "",
    )
