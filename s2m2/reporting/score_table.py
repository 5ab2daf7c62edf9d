"""The scores of a run as a table: a row for each kind of task and classifier, the features side by side."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from s2m2.evaluation.classifiers import CLASSIFIERS as CATALOGUE
from s2m2.evaluation.intervals import mean_and_interval
from s2m2.evaluation.results import TaskResults

STAGES = {"pixels": "raw pixels", "pretrain": "after pretraining", "finetune": "after fine-tuning"}
"""What the classifiers saw, in the order of a run, and what a reader calls it."""
COLUMNS = {"pixels": "pixels", "pretrain": "pretrained", "finetune": "fine-tuned"}
"""The same in few letters."""
CLASSIFIERS: Mapping[str, str] = {name: classifier.title for name, classifier in CATALOGUE.items()}
"""Heads in the order of the catalog, and what a reader calls them."""
WIDTH = 80
"""Characters of a terminal that a table has to fit."""
SCORE, SCORE_AND_CLASSES, MIN_HEAD = len("64.93 ± 0.18"), len("64.93 ± 0.18 (3.20)"), 20
"""Widths of a cell without and with its second interval, and of the column of classifiers, in characters."""


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """The scores of one classifier, with settings and transforms of its own, on tasks of one kind."""

    ways: int
    shots: int
    protocol: str
    classifier: str
    remark: str
    """What tells it from other rows of the same classifier: settings that differ, transforms."""
    results: tuple[TaskResults | None, ...]
    """One a column of the grid; None where nothing was measured."""

    @property
    def cells(self) -> tuple[str, ...]:
        """The scores as text, in percent, with the second interval in brackets where it is known."""
        return tuple(percent_both(result) if result is not None else "" for result in self.results)

    @property
    def label(self) -> str:
        """The classifier as the recipe names it, with the remark."""
        return " ".join(part for part in (self.classifier, self.remark) if part)

    @property
    def title(self) -> str:
        """The classifier as a reader calls it, with the remark."""
        return " ".join(part for part in (CLASSIFIERS.get(self.classifier, self.classifier), self.remark) if part)

    @property
    def task(self) -> str:
        """The kind of task."""
        return task_label(self.ways, self.shots, self.protocol)


@dataclass(frozen=True, kw_only=True)
class ScoreGrid:
    """All scores on the same data, tasks and seed, so that columns may be compared."""

    features: tuple[str, ...]
    """Names of the columns."""
    rows: tuple[ScoreRow, ...]
    caption: str
    """What the figures mean, but for those in brackets."""

    @property
    def brackets(self) -> str:
        """What the figures in brackets mean; empty where there are none."""
        known = any(result is not None and result.class_interval is not None for row in self.rows for result in row.results)
        return "In brackets, the half width of the 95% interval over classes and their images as well." if known else ""


def task_label(ways: int, shots: int, protocol: str = "fixed") -> str:
    """A kind of task in words: `5-way 1-shot`, `5-way 1-shot, dirichlet`, `variable tasks`; a number in which tasks differ is 0."""
    if protocol == "variable" or ways == 0:
        return f"{protocol} tasks"
    return f"{ways}-way" + (f" {shots}-shot" if shots else "") + ("" if protocol == "fixed" else f", {protocol}")


def percent(result: TaskResults) -> str:
    """Mean and half-width of its 95% interval in percent: `64.93 ± 0.18`."""
    return f"{100 * result.mean:.2f} ± {100 * result.interval:.2f}"


def percent_both(result: TaskResults) -> str:
    """The same with the half-width of the interval over classes and images: `64.93 ± 0.18 (3.20)`."""
    wide = result.class_interval
    return percent(result) + (f" ({100 * wide:.2f})" if wide is not None else "")


def newest_results(results: Iterable[TaskResults]) -> tuple[list[TaskResults], int]:
    """The results of the newest weights, the newest of each kind; and how many older ones are left out.

    Of results with the same data, features and transforms, those with the fingerprint of the newest one are of the newest weights.
    """
    every = list(results)
    of_features: dict[tuple[Any, ...], TaskResults] = {}
    of_cell: dict[tuple[Any, ...], TaskResults] = {}
    for result in sorted(every, key=lambda one: one.created):  # stable: of equal times the later in the list counts
        of_features[_feature_key(result)] = result
        of_cell[_cell_key(result)] = result
    kept = [result for result in of_cell.values() if result.fingerprint == of_features[_feature_key(result)].fingerprint]
    order = {id(result): place for place, result in enumerate(every)}
    return sorted(kept, key=lambda result: order[id(result)]), len(every) - len(kept)


def score_grids(results: Iterable[TaskResults]) -> tuple[ScoreGrid, ...]:
    """Scores by data and tasks, the latest first; results of older weights are left out, as `newest_results` says."""
    groups: dict[tuple[Any, ...], list[TaskResults]] = {}
    for result in newest_results(results)[0]:
        groups.setdefault(_grid_key(result), []).append(result)
    latest = sorted(groups.values(), key=lambda group: max(result.created for result in group), reverse=True)
    return tuple(_grid(group) for group in latest)


def latest_of_kind(grids: Iterable[ScoreGrid]) -> tuple[ScoreGrid, ...]:
    """Of grids that differ in the number or the seed of their tasks alone, the latest."""
    found: dict[tuple[Any, ...], ScoreGrid] = {}
    for grid in grids:
        one = next(result for result in grid.rows[0].results if result is not None)
        found.setdefault((*_data_key(one), one.protocol, one.concentration, one.queries, one.tasks_digest), grid)
    return tuple(found.values())


def score_table(results: Sequence[TaskResults]) -> RenderableType:
    """The scores for the terminal, in percent: a section for each kind of task, in a width of 80 characters.

    Where there is room, the half-width of the interval over classes follows in brackets. More columns than fit become further tables.
    """
    grids = score_grids(results)
    features = _in_order((name for grid in grids for name in grid.features), STAGES)
    room = WIDTH - MIN_HEAD - 4
    both = any(result.details is not None for result in results) and len(features) * (SCORE_AND_CLASSES + 3) <= room
    fit = max(room // ((SCORE_AND_CLASSES if both else SCORE) + 3), 1)
    tables = [_table(grids, features[start : start + fit], both) for start in range(0, len(features), fit)]
    captions = Text("\n".join(_captions(grids, both)), style="table.caption")
    return Group(*tables, captions)


def paired_change(before: TaskResults, after: TaskResults) -> tuple[float, float]:
    """Mean gain over the same tasks and the half-width of its 95% interval, as fractions.

    Both results met the same tasks, so the interval of the differences is the honest one, and narrower than the two apart suggest.
    """
    return mean_and_interval([late - early for early, late in zip(before.per_task, after.per_task, strict=True)])


def _table(grids: Sequence[ScoreGrid], features: Sequence[str], both: bool) -> Table:
    table = Table(title="Few-shot accuracy", title_style="bold", width=None)
    table.add_column("classifier", min_width=MIN_HEAD, overflow="fold")
    for name in features:
        table.add_column(COLUMNS.get(name, name), justify="right", no_wrap=True)
    splits = {result.split for grid in grids for row in grid.rows for result in row.results if result is not None}
    for grid in grids:
        section = ""
        for row in grid.rows:
            title = row.task + (f", {_split(row)} classes" if len(splits) > 1 else "")
            if title != section:
                table.add_section()
                table.add_row(Text(title, style="bold"))
                section = title
            known = dict(zip(grid.features, row.results, strict=True))
            texts = (percent_both(found) if both else percent(found) for found in map(known.get, features) if found is not None)
            table.add_row(row.label, *(next(texts) if known.get(name) is not None else "" for name in features))
    return table


def _captions(grids: Sequence[ScoreGrid], both: bool) -> list[str]:
    return [*(grid.caption for grid in grids), *dict.fromkeys(grid.brackets for grid in grids if both and grid.brackets)]


def _split(row: ScoreRow) -> str:
    return next(result.split for result in row.results if result is not None)


def _grid(results: list[TaskResults]) -> ScoreGrid:
    features = _in_order((result.features for result in results), STAGES)
    classifiers = _in_order((result.classifier for result in results), CLASSIFIERS)
    rows: dict[tuple[Any, ...], dict[str, TaskResults]] = {}
    for result in results:
        key = (result.ways, result.shots, classifiers.index(result.classifier), result.transforms, _stated(result.settings))
        rows.setdefault(key, {})[result.features] = result
    found = [cells for _, cells in sorted(rows.items(), key=lambda entry: entry[0][:3])]
    return ScoreGrid(features=features, rows=tuple(_row(cells, features, results) for cells in found), caption=_caption(results[0]))


def _row(cells: Mapping[str, TaskResults], features: Sequence[str], every: Sequence[TaskResults]) -> ScoreRow:
    one = next(iter(cells.values()))
    settings = [result.settings for result in every if result.classifier == one.classifier]
    differing = [f"{name}={value}" for name, value in one.settings.items() if any(other.get(name) != value for other in settings)]
    return ScoreRow(
        ways=one.ways,
        shots=one.shots,
        protocol=one.protocol,
        classifier=one.classifier,
        remark=", ".join([*differing, *one.transforms]),
        results=tuple(cells.get(name) for name in features),
    )


def _caption(one: TaskResults) -> str:
    asked = {
        "fixed": f"with {one.queries} queries a class",
        "dirichlet": f"with {one.queries} queries a class on average, Dirichlet({one.concentration:g})",
        "variable": "of variable ways and shots",
        "stored": f"with {one.queries} queries a class" if one.queries else "with queries in the numbers that the file has",
    }.get(one.protocol, "with all other images of their classes as queries")
    origin = f"of file {one.tasks_digest[:8]}" if one.tasks_digest else f"(seed {one.seed})"
    return (
        f"Accuracy in percent on {one.split} classes of {one.dataset}: mean over {one.tasks:,} tasks {origin} "
        f"{asked}, ± half the width of its 95% interval, 1.96 std / sqrt(tasks)."
    )


def _stated(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True, default=str)


def _feature_key(result: TaskResults) -> tuple[Any, ...]:
    return (*_data_key(result), result.features, result.transforms)


def _data_key(result: TaskResults) -> tuple[Any, ...]:
    return (result.dataset, result.data_digest, result.split)


def _grid_key(result: TaskResults) -> tuple[Any, ...]:
    return (*_data_key(result), result.protocol, result.concentration, result.queries, result.tasks, result.seed, result.tasks_digest)


def _cell_key(result: TaskResults) -> tuple[Any, ...]:
    return (*_grid_key(result), result.ways, result.shots, result.classifier, _stated(result.settings), result.transforms, result.features)


def _in_order(names: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Each name once: the known ones in their order, then the others as they come."""
    found = dict.fromkeys(names)
    return (*(name for name in known if name in found), *(name for name in found if name not in set(known)))
