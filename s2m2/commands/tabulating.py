"""`s2m2 table`: prints or writes the table of `s2m2.reports.paper_table`, and writes its figures."""

from s2m2.console import console, literal
from s2m2.errors import InputError
from s2m2.io import write_text
from s2m2.recipe.command_settings import TableConfig
from s2m2.reports.paper_figures import paper_figures, write_figures
from s2m2.reports.paper_rows import CHOICES, paper_table, read_sources
from s2m2.reports.paper_table import Look, table_text


def table_command(config: TableConfig) -> None:
    """Make a table of the chosen results; print it unless it goes to a file.

    Raises:
        InputError: there is no such run or file, it has no results, or none that were asked for.
    """
    chosen = {name: getattr(config, name) for name in CHOICES}
    made = paper_table(read_sources(config.runs, config.names), chosen, published=config.published, flag="--")
    look = Look(interval=config.interval, bold=config.bold, digits=config.digits, caption=config.caption, label=config.label)
    text = table_text(made, look, config.text_format)
    if config.figures is not None and config.figures.exists() and not config.figures.is_dir():
        raise InputError(f"--figures {config.figures} is a file, not a folder")
    written = write_figures(config.figures, paper_figures(made, config.interval)) if config.figures is not None else ()
    if config.output is None:
        console.print(literal(text.rstrip("\n")), soft_wrap=True)
        return
    write_text(config.output, text)
    for path in (config.output, *written):
        console.print(f"{'table' if path == config.output else 'figure'}: {path}", soft_wrap=True)
