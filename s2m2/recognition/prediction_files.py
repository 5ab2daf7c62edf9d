"""Files of predictions as csv, JSON lines or parquet, written batch by batch, and joined from parts without reading them into memory."""

import csv
import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from s2m2.errors import InputError
from s2m2.escaping import csv_cell
from s2m2.io import json_text
from s2m2.recognition.bulk import Predictions, rows_of
from s2m2.recognition.class_names import Label

COLUMNS = ("file", "label", "probability", "unknown", "alternatives", "nearest", "error")
"""Before a column `p:CLASS` for the probability of each class."""
DECIMALS = 6
"""Of probabilities."""


@runtime_checkable
class PredictionFile(Protocol):
    """A file of predictions that is being written."""

    def write(self, part: Predictions) -> None:
        """Write the rows of a batch."""

    def close(self) -> None:
        """Write what is still in memory, and close the file."""


def column_names(classes: Sequence[Label]) -> list[str]:
    """All columns of a file."""
    return [*COLUMNS, *(_clean(f"p:{label}") for label in classes)]


def open_predictions(path: Path, suffix: str, classes: Sequence[Label]) -> PredictionFile:
    """A new file of predictions.

    Args:
        suffix: .csv, .jsonl or .parquet, whatever the path ends in.

    Raises:
        InputError: pyarrow is not there.
    """
    if suffix == ".parquet":
        return _ParquetFile(path, classes)
    return _CsvFile(path, classes) if suffix == ".csv" else _JsonLines(path, classes)


def join_predictions(parts: Sequence[Path], target: Path, suffix: str, classes: Sequence[Label]) -> None:
    """One file of several, a piece at a time."""
    if suffix == ".parquet":
        parquet = _pyarrow().parquet
        with parquet.ParquetWriter(target, _schema(classes)) as writer:
            for part in parts:
                with parquet.ParquetFile(part) as stored:
                    for group in range(stored.num_row_groups):
                        writer.write_table(stored.read_row_group(group))
        return
    header = len(_csv_line(column_names(classes)).encode()) if suffix == ".csv" else 0
    with target.open("wb") as joined:
        for number, part in enumerate(parts):
            with part.open("rb") as stored:
                stored.seek(header if number else 0)
                shutil.copyfileobj(stored, joined, 2**20)


def check_parquet() -> None:
    """Raise `InputError` if parquet files cannot be written here."""
    _pyarrow()


class _CsvFile:
    def __init__(self, path: Path, classes: Sequence[Label]) -> None:
        self.file = path.open("w", encoding="utf-8", newline="")
        self.file.write(_csv_line(column_names(classes)))
        self.writer = csv.writer(self.file, lineterminator="\n")
        self.blank = [""] * len(classes)

    def write(self, part: Predictions) -> None:
        probabilities = iter(part.answers.probabilities)
        for row in rows_of(part):
            if row["error"] is not None:
                self.writer.writerow([_cell(row["file"]), "", "", "", "", "", _cell(row["error"]), *self.blank])
                continue
            texts = [f"{value:.{DECIMALS}f}" for value in next(probabilities).tolist()]
            start = [_cell(row["file"]), _cell(row["label"] or ""), f"{row['probability']:.{DECIMALS}f}", str(row["unknown"]).lower()]
            self.writer.writerow([*start, _cell("; ".join(row["alternatives"])), _cell(row["nearest"]), "", *texts])

    def close(self) -> None:
        self.file.close()


class _JsonLines:
    def __init__(self, path: Path, classes: Sequence[Label]) -> None:
        self.file = path.open("w", encoding="utf-8")
        self.names = column_names(classes)[len(COLUMNS) :]

    def write(self, part: Predictions) -> None:
        for row, values in _plain_rows(part, len(self.names)):
            fields = {name: row[name] for name in COLUMNS} | dict(zip(self.names, values, strict=True))
            self.file.write(json_text(fields, ensure_ascii=False) + "\n")

    def close(self) -> None:
        self.file.close()


class _ParquetFile:
    def __init__(self, path: Path, classes: Sequence[Label]) -> None:
        self.arrow = _pyarrow()
        self.schema = _schema(classes)
        self.writer = self.arrow.parquet.ParquetWriter(path, self.schema)

    def write(self, part: Predictions) -> None:
        rows = list(_plain_rows(part, len(self.schema) - len(COLUMNS)))
        columns = [[row[name] for row, _ in rows] for name in COLUMNS]
        columns += [list(column) for column in zip(*(values for _, values in rows), strict=True)]
        self.writer.write_table(self.arrow.table(columns, schema=self.schema))

    def close(self) -> None:
        self.writer.close()


def _plain_rows(part: Predictions, classes: int) -> list[tuple[dict[str, Any], list[float | None]]]:
    """Rows with clean texts, and the probabilities of each."""
    probabilities = iter(part.answers.probabilities.round(DECIMALS).tolist())
    rows = []
    for row in rows_of(part):
        values = [None] * classes if row["error"] is not None else next(probabilities)
        if row["probability"] is not None:
            row["probability"] = round(row["probability"], DECIMALS)
        for name in ("file", "label", "nearest", "error"):
            row[name] = None if row[name] is None else _clean(row[name])
        row["alternatives"] = [_clean(label) for label in row["alternatives"]]
        rows.append((row, values))
    return rows


def _csv_line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([_cell(cell) for cell in cells])
    return text.getvalue()


def _cell(text: str) -> str:
    return csv_cell(text)


def _clean(text: str) -> str:
    """Escapes for bytes of a file's name that are not UTF-8."""
    return text.encode(errors="backslashreplace").decode()


def _schema(classes: Sequence[Label]) -> Any:
    arrow = _pyarrow()
    types = {"probability": arrow.float64(), "unknown": arrow.bool_(), "alternatives": arrow.list_(arrow.string())}
    names = column_names(classes)
    return arrow.schema(
        [(name, types.get(name, arrow.string())) for name in names[: len(COLUMNS)]]
        + [(name, arrow.float64()) for name in names[len(COLUMNS) :]]
    )


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise InputError("--output of .parquet needs pyarrow: pip install 's2m2[parquet]'; .csv and .jsonl need nothing") from error
    return pa
