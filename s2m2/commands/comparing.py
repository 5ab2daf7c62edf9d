"""`s2m2 compare`: prints and writes the comparisons of `s2m2.evaluation.compare`."""

from pathlib import Path

from s2m2.console import console
from s2m2.evaluation.compare import compare_config
from s2m2.io import write_text
from s2m2.recipe.command_settings import CompareConfig
from s2m2.reports.tables import comparison_csv, comparison_markdown, comparison_table


def compare_command(config: CompareConfig) -> None:
    """Compare, print, and write a table if requested.

    Raises:
        InputError: there is no such file or run, it has no results, or there are none of the same tasks.
    """
    comparisons = compare_config(config)
    console.print(comparison_table(comparisons, (config.first, config.second or config.first)))
    if config.output is not None:
        path = Path(config.output)
        write_text(path, comparison_csv(comparisons) if path.suffix == ".csv" else comparison_markdown(comparisons))
        console.print(f"table: {path}", soft_wrap=True)
