"""Names by others in terminal, csv and Markdown: nothing in them is obeyed, and csv gives them back."""

import csv
import io

import pytest
from rich.table import Table

from s2m2.console import Terminal
from s2m2.escaping import FORMULA_STARTS, code, csv_cell, plain, plain_cell, sentence
from s2m2.reports.tables import csv_text

HOSTILE = ('=HYPERLINK("http://x")', "+1", "-tail", "@SUM(1)", "\t=1", "\n=1", "'=1", "''-x", "'", "it's", "a=b", "", "ω")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_is_a_formula_and_every_text_comes_back(text: str) -> None:
    assert not csv_cell(text).startswith(FORMULA_STARTS)
    assert plain_cell(csv_cell(text)) == text
    (row,) = csv.DictReader(io.StringIO(csv_text([{"label": text}]), newline=""))
    assert plain_cell(row["label"]) == text


def test_control_characters_are_escaped_in_csv() -> None:
    assert csv_cell("\x1b[31mred\r\x9b\udcff") == "\\x1b[31mred\\x0d\\x9b\\udcff"


def test_the_console_obeys_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    console = Terminal(highlight=False, markup=False, emoji=False)
    console.print("[red]a[/] :car: \x1b[31mb\x07")
    table = Table("[bold]name")
    table.add_row("[link=http://x]c[/link]\x1b]8;;http://x\x07")
    console.print(table)
    written = capsys.readouterr().out
    assert "[red]a[/] :car: \\x1b[31mb\\x07" in written
    assert "[bold]name" in written
    assert "[link=http://x]c[/link]\\x1b]8;;http://x" in written
    assert "\x1b" not in written


def test_markdown_shows_names_and_runs_nothing() -> None:
    assert sentence("a <b> [c](http://x) `d` \x1b") == "a \\<b> \\[c](http://x) \\`d\\` \\x1b"
    assert code("<b>`\x1b") == "`<b>'\\x1b`"
    assert plain("*<b>*") == r"\*\<b\>\*"
