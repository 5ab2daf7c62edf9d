"""The scores of a run: one row per kind of task and classifier, one column per kind of features, and the table for the terminal."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from s2m2.classifiers import CLASSIFIERS as CATALOG
from s2m2.classifiers import load_class
from s2m2.console import count, literal
from s2m2.evaluation.compare import difference_over_classes
from s2m2.evaluation.intervals import FEW_CLASSES, ClassError, mean_and_interval
from s2m2.evaluation.results import TaskResults, newest_results
from s2m2.tasks.episodes import task_label

FEATURES = {"pixels": "raw pixels", "pretrain": "after pretraining", "finetune": "after fine-tuning"}
"""Kinds of features in the order of a run, and their names in reports."""
COLUMNS = {"pixels": "pixels", "pretrain": "pretrained", "finetune": "fine-tuned"}
"""Their short names, for column headers."""
CLASSIFIERS: Mapping[str, str] = {name: load_class(name).title for name in CATALOG}
"""Few-shot classifiers in the order of the catalog, and their names in reports."""
WIDTH = 80
"""Characters of a terminal that a table must fit."""
AGAIN = "for these classes again (1.96 std / sqrt(tasks))"
OVER_CLASSES = "half-width of the 95% interval over classes and their images, for other classes of the kind"
"""The two intervals in words."""
SCORE, SCORE_AND_CLASSES, MIN_CLASSIFIER = len("64.93 ± 13.20"), len("64.93 ± 13.20 (0.18)"), 20
"""Widths in characters of a cell without and with its second interval, and of the column of classifiers."""


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """The scores of one classifier, with its settings and transforms, on one kind of task."""

    ways: int
    shots: int
    protocol: str
    classifier: str
    remark: str
    """Settings and transforms that distinguish it from other rows of the same classifier."""
    results: tuple[TaskResults | None, ...]
    """One per column of the grid; None where nothing was measured."""

    @property
    def cells(self) -> tuple[str, ...]:
        """Scores in percent with both intervals, see `percent_both`."""
        return tuple(percent_both(result) if result is not None else "" for result in self.results)

    @property
    def label(self) -> str:
        """The classifier's name in the recipe, with the remark."""
        return " ".join(part for part in (self.classifier, self.remark) if part)

    @property
    def title(self) -> str:
        """The classifier's name in reports, with the remark."""
        return " ".join(part for part in (CLASSIFIERS.get(self.classifier, self.classifier), self.remark) if part)

    @property
    def task(self) -> str:
        """The kind of task."""
        return task_label(self.ways, self.shots, self.protocol)


@dataclass(frozen=True, kw_only=True)
class ScoreGrid:
    """All scores on the same data, tasks and seed: its columns can be compared."""

    features: tuple[str, ...]
    """Names of the columns."""
    rows: tuple[ScoreRow, ...]
    caption: str
    """Meaning of the numbers, except their intervals."""

    @property
    def meaning(self) -> str:
        """Meaning of the intervals."""
        results = [result for row in self.rows for result in row.results if result is not None]
        known = [result.class_error for result in results if result.class_error is not None]
        again = f"{AGAIN}."
        if not known:
            return f"In brackets: half-width of the 95% interval {again}"
        return f"±: {OVER_CLASSES}{few_classes(known)}. In brackets: that {again}"


def few_classes(errors: Sequence[ClassError]) -> str:
    """What to say of intervals and p-values over few classes; empty where there are many."""
    fewest = min((error.classes for error in errors), default=FEW_CLASSES)
    return f" (of {fewest} classes only: wide, and may miss a difference)" if fewest < FEW_CLASSES else ""


def percent(result: TaskResults) -> str:
    """Mean and half-width of the 95% interval over classes in percent, `64.93 ± 3.20`; `64.93 (0.18)`, that for these classes again,
    where it is not known.
    """
    class_interval = result.class_interval
    return f"{100 * result.mean:.2f}" + (f" ± {100 * class_interval:.2f}" if class_interval is not None else _again(result))


def percent_both(result: TaskResults) -> str:
    """Mean and both half-widths, that over classes first: `64.93 ± 3.20 (0.18)`."""
    return percent(result) + (_again(result) if result.class_interval is not None else "")


def _again(result: TaskResults) -> str:
    """The half-width for these classes again; nothing where one task says nothing of it."""
    return f" ({100 * result.interval:.2f})" if math.isfinite(result.interval) else ""


def score_grids(results: Iterable[TaskResults]) -> tuple[ScoreGrid, ...]:
    """Scores by data and tasks, the latest first, without results of older weights (`newest_results`)."""
    groups: dict[tuple[Any, ...], list[TaskResults]] = {}
    for result in newest_results(results)[0]:
        groups.setdefault(_grid_key(result), []).append(result)
    latest_first = sorted(groups.values(), key=lambda group: max(result.created for result in group), reverse=True)
    return tuple(_grid(group) for group in latest_first)


def latest_of_kind(grids: Iterable[ScoreGrid]) -> tuple[ScoreGrid, ...]:
    """The latest among grids that differ only in the number or the seed of their tasks."""
    latest: dict[tuple[Any, ...], ScoreGrid] = {}
    for grid in grids:
        result = next(result for result in grid.rows[0].results if result is not None)
        latest.setdefault((*_data_key(result), result.protocol, result.concentration, result.queries, result.tasks_digest), grid)
    return tuple(latest.values())


def paired_change(before: TaskResults, after: TaskResults) -> tuple[float, float]:
    """Mean gain over the same tasks and the half-width of its 95% interval over classes, as fractions; where that is not known, of the
    one for these classes again.

    On the same tasks, the interval of the differences is the correct one, and narrower than the two intervals suggest.
    """
    differences = [late - early for early, late in zip(before.per_task, after.per_task, strict=True)]
    mean, interval = mean_and_interval(differences)
    error = difference_over_classes(before, after, differences)
    return mean, error.interval if error is not None else interval


def score_table(results: Sequence[TaskResults]) -> RenderableType:
    """The scores for the terminal, in percent, a section per kind of task, within 80 characters.

    The half-width of the interval over classes comes first, that for these classes again follows in brackets if it fits. Columns that do
    not fit become further tables.
    """
    grids = score_grids(results)
    features = _ordered((name for grid in grids for name in grid.features), FEATURES)
    room = WIDTH - MIN_CLASSIFIER - 4
    both = any(result.details is not None for result in results) and len(features) * (SCORE_AND_CLASSES + 3) <= room
    columns = max(room // ((SCORE_AND_CLASSES if both else SCORE) + 3), 1)
    tables = [_table(grids, features[start : start + columns], both) for start in range(0, len(features), columns)]
    captions = [*(grid.caption for grid in grids), *dict.fromkeys(grid.meaning for grid in grids)]
    return Group(*tables, literal("\n".join(captions), style="table.caption"))


def _table(grids: Sequence[ScoreGrid], features: Sequence[str], both: bool) -> Table:
    table = Table(title="Few-shot accuracy", title_style="bold", width=None)
    table.add_column("classifier", min_width=MIN_CLASSIFIER, overflow="fold")
    for name in features:
        table.add_column(COLUMNS.get(name, name), justify="right", no_wrap=True)
    splits = {result.split for grid in grids for row in grid.rows for result in row.results if result is not None}
    for grid in grids:
        section = ""
        for row in grid.rows:
            results = dict(zip(grid.features, row.results, strict=True))
            split = next(result.split for result in row.results if result is not None)
            title = row.task + (f", {split} classes" if len(splits) > 1 else "")
            if title != section:
                table.add_section()
                table.add_row(Text(title, style="bold"))
                section = title
            cells = ((percent_both if both else percent)(result) if (result := results.get(name)) else "" for name in features)
            table.add_row(row.label, *cells)
    return table


def _grid(results: list[TaskResults]) -> ScoreGrid:
    features = _ordered((result.features for result in results), FEATURES)
    classifiers = _ordered((result.classifier for result in results), CLASSIFIERS)
    rows: dict[tuple[Any, ...], dict[str, TaskResults]] = {}
    for result in results:
        key = (result.ways, result.shots, classifiers.index(result.classifier), result.transforms, _text(result.settings))
        rows.setdefault(key, {})[result.features] = result
    ordered = [cells for _, cells in sorted(rows.items(), key=lambda entry: entry[0][:3])]
    return ScoreGrid(features=features, rows=tuple(_row(cells, features, results) for cells in ordered), caption=tasks_caption(results[0]))


def _row(cells: Mapping[str, TaskResults], features: Sequence[str], every: Sequence[TaskResults]) -> ScoreRow:
    one = next(iter(cells.values()))
    return ScoreRow(
        ways=one.ways,
        shots=one.shots,
        protocol=one.protocol,
        classifier=one.classifier,
        remark=", ".join([*differing_settings(one, every), *one.transforms]),
        results=tuple(cells.get(name) for name in features),
    )


def differing_settings(one: TaskResults, every: Iterable[TaskResults]) -> list[str]:
    """The settings, `name=value`, that tell a classifier from others of its name."""
    settings = [result.settings for result in every if result.classifier == one.classifier]
    return [f"{name}={value}" for name, value in one.settings.items() if any(other.get(name) != value for other in settings)]


def tasks_caption(one: TaskResults) -> str:
    """What an accuracy is a mean of, as a sentence."""
    queries = f"{count(one.queries, 'query', 'queries')} per class"
    kind = {
        "fixed": queries,
        "dirichlet": f"{queries} on average, Dirichlet({one.concentration:g})",
        "variable": "variable ways and shots",
        "stored": queries if one.queries else "queries as in the file",
    }.get(one.protocol, "all other images of their classes as queries")
    origin = f"of file {one.tasks_digest[:8]}" if one.tasks_digest else f"(seed {one.seed})"
    return f"Accuracy (%) on {one.split} classes of {one.dataset}: mean of {count(one.tasks, 'task')} {origin}, {kind}."


def _text(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True, default=str)


def _data_key(result: TaskResults) -> tuple[Any, ...]:
    return (result.dataset, result.data_digest, result.split)


def _grid_key(result: TaskResults) -> tuple[Any, ...]:
    return (*_data_key(result), result.protocol, result.concentration, result.queries, result.tasks, result.seed, result.tasks_digest)


def _ordered(names: Iterable[str], catalog: Iterable[str]) -> tuple[str, ...]:
    """Each name once: those of the catalog in its order, then the others as they come."""
    unique = dict.fromkeys(names)
    cataloged = [name for name in catalog if name in unique]
    return (*cataloged, *(name for name in unique if name not in cataloged))
