"""Scores and paired comparisons as CSV, for programs, and as Markdown, for papers; comparisons for the terminal as well."""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from s2m2.console import count, literal
from s2m2.escaping import csv_cell, sentence
from s2m2.evaluation.compare import TASK_FIELDS, Comparison
from s2m2.evaluation.results import TaskResults
from s2m2.reports.scores import FEATURES, ScoreGrid, few_classes
from s2m2.tasks.episodes import task_label


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of equal keys as CSV, with a header line; no text becomes a formula."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: csv_cell(value) if isinstance(value, str) else value for key, value in row.items()} for row in rows)
    return text.getvalue()


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as Markdown of cells that are Markdown; their bars are escaped where they are not, and their line breaks become spaces."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(_cell(text) for text in line) + " |\n" for line in lines)


def scores_csv(results: Iterable[TaskResults]) -> str:
    """One line per result, fractions in full precision; unmeasured values are empty."""
    return csv_text([_result_line(result) for result in results])


def scores_markdown(grids: Iterable[ScoreGrid]) -> str:
    """One table per dataset and kind of tasks, in percent, each with its caption."""
    parts = []
    for grid in grids:
        header = ["task", "classifier", *(FEATURES.get(name, name) for name in grid.features)]
        rows = [[row.task, sentence(row.label), *row.cells] for row in grid.rows]
        parts.append(markdown_table(header, rows) + f"\n{sentence(grid.caption)} {grid.meaning}\n")
    return "\n".join(parts)


def comparison_table(comparisons: Sequence[Comparison], names: tuple[str, str]) -> RenderableType:
    """One row per pair, in percent, within 80 characters.

    Args:
        names: origins of A and B.
    """
    table = Table(title="Paired comparison", title_style="bold", show_lines=True)
    table.add_column("tasks, A and B", overflow="fold")
    for header in ("B - A ± classes", "p, classes", "± again", "p, again"):
        table.add_column(header, justify="right", no_wrap=True)
    for comparison in comparisons:
        own_a, own_b, common = _distinction(comparison)
        lines = [_task(comparison), *([common] if common else [])]
        lines += [f"A {100 * comparison.first.mean:.2f} {own_a}".rstrip(), f"B {100 * comparison.second.mean:.2f} {own_b}".rstrip()]
        table.add_row("\n".join(lines), *_numbers(comparison))
    origin = f"A and B: {names[0]}." if names[0] == names[1] else f"A: {names[0]}. B: {names[1]}."
    return Group(table, literal(f"{origin}\n{comparison_caption(comparisons)}", style="table.caption"))


def comparison_markdown(comparisons: Sequence[Comparison]) -> str:
    """The same as Markdown."""
    header = (
        "tasks",
        "A",
        "B",
        "A (%)",
        "B (%)",
        "B - A ± over classes (points)",
        "p over classes",
        "± these classes again",
        "p, these classes again",
    )
    rows = []
    for comparison in comparisons:
        pair = (comparison.first, comparison.second)
        means = (f"{100 * result.mean:.2f}" for result in pair)
        rows.append([_task(comparison), *(sentence(_description(one)) for one in pair), *means, *_numbers(comparison)])
    return markdown_table(header, rows) + f"\n{sentence(comparison_caption(comparisons))}\n"


def comparison_csv(comparisons: Sequence[Comparison]) -> str:
    """The same as CSV, fractions in full precision."""
    return csv_text([_comparison_line(comparison) for comparison in comparisons])


def comparison_caption(comparisons: Sequence[Comparison]) -> str:
    """Meaning of the numbers."""
    one = comparisons[0].first
    several = f" The {len(comparisons)} p-values are not adjusted for multiple comparisons." if len(comparisons) > 1 else ""
    return (
        f"Percentage points over the same tasks (seed {one.seed}) of {one.split} classes of {one.dataset}. B - A: mean difference ± "
        "half-width of its 95% interval over classes and their images, with its p-value, for other classes of the kind: jackknife over "
        f"classes{few_classes([each.over_classes for each in comparisons if each.over_classes is not None])}. Again: the same for these "
        f"classes again (1.96 std / sqrt(tasks); paired t-test), which says nothing of new classes.{several}"
    )


def _result_line(result: TaskResults) -> dict[str, Any]:
    details = result.details
    calibration = details.calibration if details is not None else None
    after = calibration.after if calibration is not None else None
    open_set = details.open_set if details is not None else None
    task_fields = ("dataset", "split", "protocol", "ways", "shots", "queries", "concentration", "tasks", "seed", "features", "classifier")
    return {name: getattr(result, name) for name in task_fields} | {
        "transforms": " ".join(result.transforms),
        "settings": json.dumps(result.settings, sort_keys=True, default=str),
        "accuracy": result.mean,
        "interval_over_classes": result.class_interval,
        "interval_these_classes_again": result.interval if math.isfinite(result.interval) else None,
        "calibration_error": calibration.before.error if calibration is not None else None,
        "nll": calibration.before.nll if calibration is not None else None,
        "temperature": calibration.temperature if calibration is not None else None,
        "calibration_error_after": after.error if after is not None else None,
        "nll_after": after.nll if after is not None else None,
        "open_set_auroc": open_set.score.auroc if open_set is not None else None,
        "open_set_auroc_pooled": open_set.score.auroc_pooled if open_set is not None else None,
        "rejection_threshold": open_set.threshold if open_set is not None else None,
        "accepted": open_set.score.accepted if open_set is not None else None,
        "open_set_rejected": open_set.score.rejected if open_set is not None else None,
        "created": result.created,
        "fingerprint": result.fingerprint,
        "data_digest": result.data_digest,
    }


def _comparison_line(comparison: Comparison) -> dict[str, Any]:
    line: dict[str, Any] = {name: getattr(comparison.first, name) for name in TASK_FIELDS}
    for name, one in (("a", comparison.first), ("b", comparison.second)):
        line |= {f"{name}_features": one.features, f"{name}_classifier": one.classifier, f"{name}_transforms": " ".join(one.transforms)}
        line |= {f"{name}_accuracy": one.mean, f"{name}_fingerprint": one.fingerprint}
    return line | {
        "difference": comparison.difference,
        "interval_over_classes": comparison.class_interval,
        "p_over_classes": comparison.class_p_value,
        "interval_these_classes_again": comparison.interval,
        "p_these_classes_again": comparison.p_value,
    }


def _numbers(comparison: Comparison) -> tuple[str, str, str, str]:
    class_interval, class_p = comparison.class_interval, comparison.class_p_value
    return (
        f"{100 * comparison.difference:+.2f}" + (f" ± {100 * class_interval:.2f}" if class_interval is not None else ""),
        _p(class_p) if class_p is not None else "",
        f"± {100 * comparison.interval:.2f}",
        _p(comparison.p_value),
    )


def _task(comparison: Comparison) -> str:
    one = comparison.first
    return f"{task_label(one.ways, one.shots, one.protocol)}, {count(one.tasks, 'task')}"


def _distinction(comparison: Comparison) -> tuple[str, str, str]:
    """Classifier, features and transforms: those of A alone, those of B alone, and those in common."""
    described = ((one.classifier, one.features, " ".join(one.transforms)) for one in (comparison.first, comparison.second))
    pairs = list(zip(*described, strict=True))
    own_a, own_b = (", ".join(pair[side] for pair in pairs if pair[0] != pair[1] and pair[side]) for side in (0, 1))
    return own_a, own_b, ", ".join(a for a, b in pairs if a == b and a)


def _description(one: TaskResults) -> str:
    return " ".join([one.classifier, "on", one.features, *one.transforms])


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _cell(text: str) -> str:
    return " ".join(re.sub(r"(?<!\\)((?:\\\\)*)\|", r"\1\\|", text).split())
