"""Scores as CSV, for spreadsheets and programs, and as Markdown, for papers and issues."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from s2m2.evaluation.results import TaskResults
from s2m2.reporting.score_table import STAGES, ScoreGrid


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of equal keys as CSV, with a line of names first."""
    written = io.StringIO()
    writer = csv.DictWriter(written, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as Markdown; cells that hold a bar or a line break keep their meaning."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(_cell(text) for text in line) + " |\n" for line in lines)


def scores_csv(results: Iterable[TaskResults]) -> str:
    """A line for each result, every figure as a fraction and in full; what was not measured is empty."""
    return csv_text([_line(result) for result in results])


def scores_markdown(grids: Iterable[ScoreGrid]) -> str:
    """A table for each dataset and kind of tasks, in percent, and what its figures mean."""
    parts = []
    for grid in grids:
        header = ["task", "head", *(STAGES.get(name, name) for name in grid.features)]
        rows = [[row.task, row.label, *row.cells] for row in grid.rows]
        parts.append(markdown_table(header, rows) + f"\n{grid.caption} {grid.brackets}".rstrip() + "\n")
    return "\n".join(parts)


def _line(result: TaskResults) -> dict[str, Any]:
    details = result.details
    calibration = details.calibration if details is not None else None
    after = calibration.after if calibration is not None else None
    unknown = details.unknown if details is not None else None
    found: dict[str, Any] = {name: getattr(result, name) for name in ("dataset", "split", "protocol", "ways", "shots", "queries")}
    found |= {name: getattr(result, name) for name in ("concentration", "tasks", "seed", "features", "head")}
    return found | {
        "transforms": " ".join(result.transforms),
        "settings": json.dumps(result.settings, sort_keys=True, default=str),
        "accuracy": result.mean,
        "interval_over_tasks": result.interval,
        "interval_over_classes": result.class_interval,
        "calibration_error": calibration.before.error if calibration is not None else None,
        "negative_log_likelihood": calibration.before.nll if calibration is not None else None,
        "temperature": calibration.temperature if calibration is not None else None,
        "calibration_error_after": after.error if after is not None else None,
        "negative_log_likelihood_after": after.nll if after is not None else None,
        "unknown_auroc": unknown.score.auroc if unknown is not None else None,
        "unknown_auroc_pooled": unknown.score.auroc_pooled if unknown is not None else None,
        "rejection_threshold": unknown.threshold if unknown is not None else None,
        "known_accepted": unknown.score.accepted if unknown is not None else None,
        "unknown_rejected": unknown.score.rejected if unknown is not None else None,
        "created": result.created,
        "fingerprint": result.fingerprint,
        "data_digest": result.data_digest,
    }


def _cell(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())
