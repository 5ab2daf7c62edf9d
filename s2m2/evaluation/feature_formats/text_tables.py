"""Features as text: a row an image, a column a number, and one column with the label; with or without a header."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from s2m2.errors import InputError
from s2m2.evaluation.feature_formats.contents import LABELS, Contents, StoredArray

NAMES = frozenset({"file", "filename", "file_name", "path", "image", "name", "id", "index", "split", ""})
"""Columns that are neither features nor labels."""
DELIMITERS = (",", "\t", ";", " ")
SHOWN = 3
"""Columns that a message shows from each end."""


def read_text_table(path: Path) -> Contents:
    """The numbers of a table, and its column of labels."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        delimiter = max(DELIMITERS, key=first.count)
        rows = csv.reader([first, *file], delimiter=delimiter, skipinitialspace=True)
        header, labels, values = _read(rows)
    return Contents(
        arrays={
            "features": StoredArray(shape=values.shape, type="columns of numbers", kind="f", load=lambda: values),
            header: StoredArray(shape=labels.shape, type="column of labels", kind=labels.dtype.kind, load=lambda: labels),
        },
        features="features",
        labels=header,
    )


def _read(rows: Iterator[list[str]]) -> tuple[str, np.ndarray, np.ndarray]:
    """Name of the column of labels, the labels, and the features."""
    first: list[str] = next(rows, [])
    second: list[str] = next(rows, [])
    body = (row for row in rows if row)
    if len(first) < 2 or len(second) != len(first):
        raise InputError(f"is no table of features: its first rows have {len(first)} and {len(second)} cells")
    has_header = not any(_is_number(cell) for cell in first) or (sum(map(_is_number, second)) > sum(map(_is_number, first)) + 1)
    header = first if has_header else [f"column {number}" for number in range(1, len(first) + 1)]
    column = _label_column(header, second, has_header)
    kept = [number for number, name in enumerate(header) if number != column and not (has_header and name.strip().lower() in NAMES)]
    labels: list[str] = []
    values: list[np.ndarray] = []
    for number, row in enumerate([second, *body] if has_header else [first, second, *body], start=2 if has_header else 1):
        if len(row) != len(header):
            raise InputError(f"has {len(row)} cells in row {number}, but {len(header)} in row 1")
        try:
            values.append(np.array([float(row[one]) for one in kept], dtype=np.float64))
        except ValueError as error:
            wrong = next(one for one in kept if not _is_number(row[one]))
            raise InputError(
                f"has {row[wrong]!r} in row {number}, {header[wrong]}, where a feature is to be; "
                f"it holds {_shown(header)}, of which {header[column]} is read as the label"
            ) from error
        labels.append(row[column].strip())
    return header[column], _as_labels(labels), np.stack(values)


def _label_column(header: list[str], row: list[str], has_header: bool) -> int:
    """By name, else the only one of text, else the only one of whole numbers at an end."""
    names = [name.strip().lower() for name in header]
    named = [names.index(name) for name in LABELS if has_header and name in names]
    text = [number for number, cell in enumerate(row) if not _is_number(cell) and not (has_header and names[number] in NAMES)]
    whole = [number for number, cell in enumerate(row) if cell.strip().lstrip("+-").isdigit()]
    ends = [number for number in whole if number in (0, len(row) - 1)]
    for found in (named[:1], text, whole if len(whole) == 1 else ends if len(whole) < len(row) else []):
        if len(found) == 1:
            return found[0]
    raise InputError(
        f"has no column of labels that can be told: it holds {_shown(header)}; name it in a header, one of {', '.join(LABELS)}"
    )


def _as_labels(labels: list[str]) -> np.ndarray:
    """Whole numbers where all are, else the texts."""
    try:
        numbers = np.array([float(label) for label in labels])
    except ValueError:
        return np.array(labels)
    return numbers if np.isfinite(numbers).all() else np.array(labels)


def _shown(header: list[str]) -> str:
    shown = header if len(header) <= 2 * SHOWN else [*header[:SHOWN], "...", *header[-SHOWN:]]
    return f"{len(header):,} columns ({', '.join(shown)})"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
