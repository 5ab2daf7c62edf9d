"""Rows and columns of a table for a paper, from the results of runs and files, and what the paired test says of each column."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2m2.console import count, first_named
from s2m2.errors import InputError
from s2m2.evaluation.compare import STAGES
from s2m2.evaluation.ranking import Ranking, rank
from s2m2.evaluation.results import TaskResults, load_results, newest_results, read_results
from s2m2.reports.published import S2M2
from s2m2.reports.scores import CLASSIFIERS, FEATURES, differing_settings
from s2m2.runs.directory import RunDirectory
from s2m2.tasks.episodes import task_label

CHOICES = {
    "classifiers": "classifier",
    "features": "features",
    "splits": "split",
    "protocols": "protocol",
    "ways": "ways",
    "shots": "shots",
    "tasks": "tasks",
    "seeds": "seed",
}
"""Settings that choose among the results, and the field of a result that each looks at."""
RESULTS = "results"
"""Name of the folder of results in that of a run."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where some rows of a table come from."""

    name: str
    """What the rows call it; may be empty."""
    results: tuple[TaskResults, ...]
    is_folder: bool
    """Of two results for one cell the newest counts; of results that were named one by one, neither."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A kind of tasks."""

    dataset: str
    split: str
    protocol: str
    concentration: float
    ways: int
    shots: int

    @property
    def place(self) -> str:
        """The classes that tasks are sampled from, in words."""
        return f"{self.dataset}, {self.split} classes"

    @property
    def task(self) -> str:
        """The tasks in words."""
        concentration = f" ({self.concentration:g})" if self.concentration else ""
        return task_label(self.ways, self.shots, self.protocol) + concentration

    @property
    def published(self) -> tuple[float, float | None] | None:
        """The published accuracy of S2M2_R and half of its interval over tasks, in percent; None where there is none."""
        row = S2M2.get(self.dataset, {}).get("s2m2_r")
        known = row is not None and self.ways == 5 and self.split == "novel" and self.protocol in ("fixed", "s2m2")
        return row.score(self.shots) if known and row is not None else None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One classifier on one kind of features of one source."""

    source: str
    features: str
    classifier: str
    remark: str
    """Settings that tell it from other rows of the same classifier."""
    transforms: tuple[str, ...]
    results: tuple[TaskResults | None, ...]
    """One for each column; None where nothing was measured."""

    @property
    def labels(self) -> dict[str, str]:
        """What tells the row from others, by the name of the column of labels."""
        title = CLASSIFIERS.get(self.classifier, self.classifier)
        return {
            "run": self.source,
            "features": FEATURES.get(self.features, self.features),
            "classifier": " ".join(filter(None, (title, self.remark))),
            "transforms": ", ".join(self.transforms),
        }


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """Rows and columns, and the paired test of each column."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    rankings: tuple[Ranking, ...]
    """One for each column; positions are those of rows."""
    published: bool
    """Whether the paper's row stands below."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """The columns of labels that tell rows apart; the first one also names the published row."""
        names = [name for name in self.rows[0].labels if len({row.labels[name] for row in self.rows}) > 1]
        return tuple(names) or ("classifier",)

    @property
    def common(self) -> tuple[str, ...]:
        """The labels that all rows share, but for the name of the run."""
        first = self.rows[0].labels
        return tuple(text for name, text in first.items() if name != "run" and name not in self.label_names and text)

    def column_name(self, column: Column) -> str:
        """A column in words, with its classes where columns differ in these."""
        return f"{column.place}, {column.task}" if len({one.place for one in self.columns}) > 1 else column.task


def paper_table(sources: Sequence[Source], chosen: Mapping[str, Sequence[Any]], *, published: bool, flag: str = "") -> PaperTable:
    """The table of all chosen results.

    Args:
        chosen: values by the names of `CHOICES`; empty for all.
        flag: what stands before the name of a setting in messages.

    Raises:
        InputError: no result is left, two that were named one by one are for one cell, or there is no published number for any column.
    """
    if not any(source.results for source in sources):
        raise InputError("there are no results to make a table of")
    results = _chosen([result for source in sources for result in source.results], chosen, flag)
    left = {id(result) for result in results}
    columns = _columns(results)
    cells: dict[tuple[Any, ...], dict[Column, TaskResults]] = {}
    names = _dataset_names(results)
    for number, source in enumerate(sources):
        of_source = [result for result in source.results if id(result) in left]
        for result in sorted(of_source, key=lambda one: one.created):  # stable: of equal times the later in the list counts
            row = cells.setdefault(_row_key(number, result), {})
            column = _column(result, names)
            if column in row and not source.is_folder:
                words = f"{result.classifier} on {result.features}, {column.task}"
                raise InputError(f"two results of {words} are for one cell of the table; a name for each makes them rows of their own")
            row[column] = result
    ordered = sorted(cells, key=_row_order)
    rows = [_row(sources[key[0]].name, cells[key], columns, results) for key in ordered]
    if published and not any(column.published for column in columns):
        there = ", ".join(name for name, rows in S2M2.items() if rows)
        raise InputError(f"{flag}published: there are numbers for 5-way 1- and 5-shot tasks of novel classes of {there} only")
    rankings = tuple(rank([row.results[number] for row in rows]) for number in range(len(columns)))
    return PaperTable(columns=columns, rows=tuple(rows), rankings=rankings, published=published)


def read_sources(paths: Sequence[str], names: Sequence[str] = ()) -> list[Source]:
    """The results of run directories and of files; files in the folder of results of one run are one source.

    Args:
        names: one for each source in the order of their first path; empty: the names of their folders or files.

    Raises:
        InputError: there is no such path, it holds no results, it is named twice, or the number of names is another.
    """
    owners: dict[Path, list[str]] = {}
    for path in paths:
        owners.setdefault(_owner(Path(path)), []).append(path)
    if names and len(names) != len(owners):
        paths = [given[0] for given in owners.values()]
        raise InputError(f"--names has {count(len(names), 'name')}, but there are {len(owners)} to name: {first_named(paths)}")
    defaults = _default_names(owners)
    return [_read(owner, given, name) for (owner, given), name in zip(owners.items(), names or defaults, strict=True)]


def _read(owner: Path, given: Sequence[str], name: str) -> Source:
    if len({Path(path).resolve() for path in given}) < len(given) or (len(given) > 1 and any(Path(path).is_dir() for path in given)):
        raise InputError(f"{given[-1]} is there twice, {' and '.join(given)}")
    if not Path(given[0]).exists():
        raise InputError(f"there is nothing at {given[0]}; a table is made of run directories and files of results")
    if not Path(given[0]).is_dir():
        return Source(name=name, results=tuple(load_results(Path(path)) for path in given), is_folder=False)
    results = newest_results(read_results(RunDirectory(Path(given[0]))))[0]
    if not results:
        raise InputError(f"{given[0]} holds no results; `s2m2 evaluate --run {given[0]}` makes them")
    return Source(name=name, results=tuple(results), is_folder=True)


def _owner(path: Path) -> Path:
    """The run that a path belongs to; a file elsewhere belongs to none but itself."""
    whole = path.resolve()
    return whole.parent.parent if whole.is_file() and whole.parent.name == RESULTS else whole


def _default_names(owners: Mapping[Path, Sequence[str]]) -> list[str]:
    """Names of folders and files; where two are equal, their paths."""
    short = [owner.stem if owner.is_file() else owner.name for owner in owners]
    return [name if short.count(name) == 1 else given[0] for name, given in zip(short, owners.values(), strict=True)]


def _chosen(results: Sequence[TaskResults], chosen: Mapping[str, Sequence[Any]], flag: str) -> list[TaskResults]:
    left = list(results)
    for name, values in chosen.items():
        there = dict.fromkeys(getattr(result, CHOICES[name]) for result in left)
        for value in values:
            if value not in there:
                raise InputError(f"{flag}{name} has {value}, but the results have {', '.join(map(str, there))}")
        left = [result for result in left if not values or getattr(result, CHOICES[name]) in values]
    return left


def _dataset_names(results: Iterable[TaskResults]) -> dict[str, str]:
    """The first name of each dataset by its digest: the same images under two names make one column."""
    names: dict[str, str] = {}
    for result in results:
        if result.data_digest:
            names.setdefault(result.data_digest, result.dataset)
    return names


def _column(result: TaskResults, names: Mapping[str, str]) -> Column:
    fields = {name: getattr(result, name) for name in ("split", "protocol", "concentration", "ways", "shots")}
    return Column(dataset=names.get(result.data_digest, result.dataset), **fields)


def _columns(results: Sequence[TaskResults]) -> tuple[Column, ...]:
    """Columns by dataset and split as they come, then the protocol `fixed`, few ways and few shots first."""
    names = _dataset_names(results)
    columns = list(dict.fromkeys(_column(result, names) for result in results))
    places = list(dict.fromkeys((column.dataset, column.split) for column in columns))
    return tuple(
        sorted(
            columns,
            key=lambda one: (
                places.index((one.dataset, one.split)), one.protocol != "fixed", one.protocol, one.concentration, one.ways, one.shots
            ),
        )
    )  # fmt: skip


def _row_key(source: int, result: TaskResults) -> tuple[Any, ...]:
    return source, result.features, result.classifier, result.transforms, json.dumps(result.settings, sort_keys=True, default=str)


def _row_order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sources as given, features in the order of a run, classifiers in that of the catalog; then by name."""
    source, features, classifier, transforms, settings = key
    stages, catalog = list(STAGES), list(CLASSIFIERS)
    stage = features.split("-")[0]
    return (
        source,
        stages.index(stage) if stage in stages else len(stages), features,
        catalog.index(classifier) if classifier in catalog else len(catalog), classifier,
        transforms, settings,
    )  # fmt: skip


def _row(source: str, cells: Mapping[Column, TaskResults], columns: Sequence[Column], every: Sequence[TaskResults]) -> Row:
    one = next(iter(cells.values()))
    return Row(
        source=source,
        features=one.features,
        classifier=one.classifier,
        remark=", ".join(differing_settings(one, every)),
        transforms=one.transforms,
        results=tuple(cells.get(column) for column in columns),
    )
