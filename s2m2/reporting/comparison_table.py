"""Paired comparisons as a table for the terminal, CSV and Markdown."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from s2m2.evaluation.comparison import TASK_FIELDS, Comparison
from s2m2.evaluation.results import TaskResults
from s2m2.reporting.export import csv_text, markdown_table
from s2m2.reporting.score_table import task_label


def comparison_table(comparisons: Sequence[Comparison], names: tuple[str, str]) -> RenderableType:
    """A row for each pair, in percent, in a width of 80 characters.

    Args:
        names: where A and B came from.
    """
    table = Table(title="Paired comparison", title_style="bold", show_lines=True)
    table.add_column("tasks, A and B", overflow="fold")
    for header in ("B - A", "p, tasks", "± classes", "p, classes"):
        table.add_column(header, justify="right", no_wrap=True)
    for comparison in comparisons:
        *sizes, shared = _parts(comparison)
        means = [f"{name} {100 * one.mean:.2f}" for name, one in zip("AB", _sides(comparison), strict=True)]
        lines = [f"{mean} {side}".rstrip() for mean, side in zip(means, sizes, strict=True)]
        lines = [_task(comparison), *([shared] if shared else []), *lines]
        table.add_row("\n".join(lines), *_figures(comparison))
    origins = dict.fromkeys(names)
    where = f"A and B: {names[0]}." if len(origins) == 1 else f"A: {names[0]}. B: {names[1]}."
    return Group(table, Text(f"{where}\n{caption(comparisons)}", style="table.caption"))


def comparison_markdown(comparisons: Sequence[Comparison]) -> str:
    """The same as Markdown."""
    header = ("tasks", "A", "B", "A (%)", "B (%)", "B - A (points)", "p over tasks", "± over classes", "p over classes")
    rows = []
    for comparison in comparisons:
        means = (f"{100 * one.mean:.2f}" for one in _sides(comparison))
        rows.append([_task(comparison), *map(_side, _sides(comparison)), *means, *_figures(comparison)])
    return markdown_table(header, rows) + f"\n{caption(comparisons)}\n"


def comparison_csv(comparisons: Sequence[Comparison]) -> str:
    """The same as CSV, every figure as a fraction and in full."""
    return csv_text([_line(comparison) for comparison in comparisons])


def caption(comparisons: Sequence[Comparison]) -> str:
    """What the figures mean."""
    one = comparisons[0].first
    many = f" The p-values of these {len(comparisons)} pairs are not adjusted for their number." if len(comparisons) > 1 else ""
    return (
        f"Points of percent over the same tasks (seed {one.seed}) of the {one.split} classes of {one.dataset}: mean "
        "difference ± half the width of its 95% interval, 1.96 std / sqrt(tasks), and the p-value of the paired t-test, for these classes; "
        f"then both for classes like these, by the jackknife over classes with their images.{many}"
    )


def _figures(comparison: Comparison) -> tuple[str, str, str, str]:
    wide, p_value = comparison.class_interval, comparison.class_p_value
    return (
        f"{100 * comparison.difference:+.2f} ± {100 * comparison.interval:.2f}",
        _p(comparison.p_value),
        f"± {100 * wide:.2f}" if wide is not None else "",
        _p(p_value) if p_value is not None else "",
    )


def _line(comparison: Comparison) -> dict[str, Any]:
    first, second = _sides(comparison)
    found: dict[str, Any] = {name: getattr(first, name) for name in TASK_FIELDS}
    for name, one in (("a", first), ("b", second)):
        found |= {f"{name}_features": one.features, f"{name}_head": one.classifier, f"{name}_transforms": " ".join(one.transforms)}
        found |= {f"{name}_accuracy": one.mean, f"{name}_fingerprint": one.fingerprint}
    return found | {
        "difference": comparison.difference,
        "interval_over_tasks": comparison.interval,
        "p_over_tasks": comparison.p_value,
        "interval_over_classes": comparison.class_interval,
        "p_over_classes": comparison.class_p_value,
    }


def _sides(comparison: Comparison) -> tuple[TaskResults, TaskResults]:
    return comparison.first, comparison.second


def _task(comparison: Comparison) -> str:
    one = comparison.first
    return f"{task_label(one.ways, one.shots, one.protocol)}, {one.tasks:,} tasks"


def _parts(comparison: Comparison) -> tuple[str, str, str]:
    """Head, features and transforms of both: what is A's own, what is B's own, and what they share."""
    sides = [(one.classifier, one.features, " ".join(one.transforms)) for one in _sides(comparison)]
    pairs = list(zip(*sides, strict=True))
    ours, theirs = (", ".join(pair[side] for pair in pairs if pair[0] != pair[1] and pair[side]) for side in (0, 1))
    return ours, theirs, ", ".join(pair[0] for pair in pairs if pair[0] == pair[1] and pair[0])


def _side(one: TaskResults) -> str:
    return " ".join([one.classifier, "on", one.features, *one.transforms])


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"
