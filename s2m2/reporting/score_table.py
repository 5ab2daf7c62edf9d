"""The scores of a run as a table: a row for each kind of task and head, the training stages side by side."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table

from s2m2.evaluation.results import TaskResults, mean_and_interval

STAGES = {"pixels": "raw pixels", "pretrain": "after pretraining", "finetune": "after fine-tuning"}
"""What the heads saw, in the order of a run, and what a reader calls it."""
COLUMNS = {"pixels": "pixels", "pretrain": "pretrained", "finetune": "fine-tuned"}
"""The same in few letters: with heads named as in the recipe, three columns fit a terminal of 80 characters."""
HEADS = {"cosine": "cosine classifier", "nearest_mean": "nearest class mean"}
"""Heads, the paper's first, and what a reader calls them."""


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """The scores of one head on tasks of one kind."""

    ways: int
    shots: int
    head: str
    results: tuple[TaskResults | None, ...]
    """One a column of the grid; None where nothing was measured."""

    @property
    def cells(self) -> tuple[str, ...]:
        """The scores as text, in percent."""
        return tuple(percent(result) if result is not None else "" for result in self.results)


@dataclass(frozen=True, kw_only=True)
class ScoreGrid:
    """All scores of one protocol: the same data, tasks and seed, so that columns may be compared."""

    features: tuple[str, ...]
    """Names of the columns, keys of `STAGES`."""
    rows: tuple[ScoreRow, ...]
    caption: str


def percent(result: TaskResults) -> str:
    """Mean and half-width of its 95% interval in percent: `64.93 ± 0.18`."""
    return f"{100 * result.mean:.2f} ± {100 * result.interval:.2f}"


def score_grids(results: Iterable[TaskResults]) -> tuple[ScoreGrid, ...]:
    """Scores by protocol, in order of appearance; of two results for one cell the later one counts."""
    protocols: dict[tuple[str, str, int, int, int], list[TaskResults]] = {}
    for result in results:
        protocols.setdefault((result.dataset, result.split, result.queries, result.tasks, result.seed), []).append(result)
    return tuple(_grid(group) for group in protocols.values())


def score_table(results: Sequence[TaskResults]) -> Table:
    """The scores for the terminal, in percent; results of several protocols become sections, each with its line of the caption."""
    grids = score_grids(results)
    features = _in_order((result.features for result in results), STAGES)
    table = Table(title="Few-shot accuracy", title_style="bold", caption="\n".join(grid.caption for grid in grids), caption_justify="left")
    table.add_column("ways", justify="right")
    table.add_column("shots", justify="right")
    table.add_column("head", no_wrap=True)
    for name in features:
        table.add_column(COLUMNS.get(name, name), justify="right", no_wrap=True)
    for grid in grids:
        for row in grid.rows:
            cells = dict(zip(grid.features, row.cells, strict=True))
            table.add_row(str(row.ways), str(row.shots), row.head, *(cells.get(name, "") for name in features))
        table.add_section()
    return table


def paired_change(before: TaskResults, after: TaskResults) -> tuple[float, float]:
    """Mean gain over the same tasks and the half-width of its 95% interval, as fractions.

    Both results met the same tasks, so the interval of the differences is the honest one, and narrower than the two apart suggest.
    """
    return mean_and_interval([late - early for early, late in zip(before.per_task, after.per_task, strict=True)])


def _grid(results: list[TaskResults]) -> ScoreGrid:
    features = _in_order((result.features for result in results), STAGES)
    heads = _in_order((result.head for result in results), HEADS)
    cells = {(result.ways, result.shots, result.head, result.features): result for result in results}
    kinds = sorted({(ways, shots, heads.index(head)) for ways, shots, head, _ in cells})
    rows = tuple(
        ScoreRow(ways=ways, shots=shots, head=heads[head], results=tuple(cells.get((ways, shots, heads[head], name)) for name in features))
        for ways, shots, head in kinds
    )
    one = results[0]
    caption = (
        f"Accuracy in percent on {one.split} classes of {one.dataset}: mean over {one.tasks:,} tasks (seed {one.seed}) "
        f"with {one.queries} queries a class, ± half the width of its 95% interval, 1.96 std / sqrt(tasks)."
    )
    return ScoreGrid(features=features, rows=rows, caption=caption)


def _in_order(names: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Each name once: the known ones in their order, then the others as they come."""
    found = dict.fromkeys(names)
    return (*(name for name in known if name in found), *(name for name in found if name not in set(known)))
