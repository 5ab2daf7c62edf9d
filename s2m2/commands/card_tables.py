"""The tables that a recipe names, as a model card needs them: their pictures if they are at hand, their names, and the flags for others."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from s2m2.console import console
from s2m2.data.cache import user_cache
from s2m2.data.catalog import DRAWN, ImageTables, load_tables
from s2m2.data.learn2learn import CLASSES, TABLE
from s2m2.data.table import SPLITS
from s2m2.errors import InputError
from s2m2.evaluation.results import TaskResults
from s2m2.recipe import DataConfig, EvaluateConfig, Recipe
from s2m2.reporting.card_parts import code
from s2m2.runs.directory import RunDirectory
from s2m2.runs.provenance import read_provenance


def card_tables(run: RunDirectory, recipe: Recipe, results: Sequence[TaskResults]) -> tuple[ImageTables | None, str]:
    """The pictures that the recipe names, if they are those that were scored and at hand: nothing is downloaded for a card.

    Else None and the words that say, without a place, which table is missing or another one.
    """
    data, novel_table = recipe.data, recipe.evaluate.novel_table
    steps: list[tuple[str | None, DataConfig, str | None]] = [
        (data.table, replace(data, validation_table=None), None),
        (data.validation_table, data, None),
        (novel_table, data, novel_table),
    ]
    tables = None
    for name, shown, novel in steps:
        if name is None:
            continue
        try:
            if _is_downloaded(recipe, name) and not (user_cache() / str(data.download) / name / TABLE).is_dir():
                raise InputError(f"{name} is not downloaded here")
            tables = load_tables(shown, EvaluateConfig(novel_table=novel))
        except InputError as error:
            return _uncounted(str(error), f"the table {code(bare(name))} was not at hand")
    assert tables is not None
    other = _other_pictures(run, tables, recipe, results)
    if other is None:
        return tables, ""
    words = f"the table {code(bare(other))} held other pictures than those that were scored"
    return _uncounted(f"{other} holds other pictures than when the run was scored", words)


def missing_tables(recipe: Recipe) -> dict[str, str]:
    """Flags of the tables that others have to name before they can score, with a word in place of each.

    Those that are drawn or downloaded need no flag, nor does a folder below the current directory, whose path the recipe keeps. A table
    that is named twice has one word.
    """
    named = {
        "--data.table": (recipe.data.table, "TABLE"),
        "--data.validation_table": (recipe.data.validation_table, "VALIDATION"),
        "--evaluate.novel_table": (recipe.evaluate.novel_table, "NOVEL"),
        "--evaluate.query_table": (recipe.evaluate.query_table, "QUERIES"),
    }
    words: dict[str, str] = {}
    flags = {}
    for flag, (table, word) in named.items():
        if table is not None and not (table in DRAWN or _is_downloaded(recipe, table) or (bare(table) == table and Path(table).is_dir())):
            flags[flag] = words.setdefault(table, word)
    return flags


def bare(table: str) -> str:
    """A folder by its name alone, unless the path lies below the current directory; of `~`, `..` and the root others have no use."""
    path = Path(table)
    return table if not path.is_absolute() and not table.startswith("~") and ".." not in path.parts else path.name or "table"


def bare_or_none(table: str | None) -> str | None:
    """The same of a table that need not be named."""
    return None if table is None else bare(table)


def _is_downloaded(recipe: Recipe, table: str) -> bool:
    return recipe.data.download is not None and (table == recipe.data.table or (table in CLASSES and not Path(table).is_dir()))


def _other_pictures(run: RunDirectory, tables: ImageTables, recipe: Recipe, results: Sequence[TaskResults]) -> str | None:
    """The first table that is not the one that was scored: that of the base classes by the record of the run, others by its results."""
    if read_provenance(run).get("data", {}).get("digest", tables.base.digest) != tables.base.digest:
        return recipe.data.table
    names = {"base": recipe.data.table, "validation": recipe.data.validation_table, "novel": recipe.evaluate.novel_table}
    for split in SPLITS:
        # Before the plus is the table of the split, behind it that of the queries.
        scored = {result.data_digest.split("+")[0] for result in results if result.split == split}
        if scored and tables.of(split).digest not in scored:
            return names[split] or recipe.data.table
    return None


def _uncounted(reason: str, words: str) -> tuple[None, str]:
    console.print(f"warning: the card counts no pictures: {reason}", markup=False, soft_wrap=True)
    return None, words
