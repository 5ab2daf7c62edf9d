"""Names by others in terminal, csv and Markdown: nothing in them is obeyed, and csv gives them back."""

import csv
import io

import pytest
from rich.table import Table

from s2m2.console import Terminal
from s2m2.escaping import FORMULA_STARTS, code, csv_cell, latex, literally, plain, plain_cell, sentence
from s2m2.reports.tables import csv_text, markdown_table

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
    assert plain("*<b>*.") == r"\*\<b\>\*"
    assert literally("*<b>*.\n|") == r"\*\<b\>\*. \|"


def test_escapes_of_markdown_stay_what_they_are_in_a_table() -> None:
    names = ("a<b>", "a|b", "a\\|b", "x\ny")
    row = markdown_table(["name"], [[literally(name)] for name in names]).splitlines()[2:]
    assert row == [r"| a\<b\> |", r"| a\|b |", r"| a\\\|b |", "| x y |"]
    assert markdown_table(["name"], [["a|b"]]).splitlines()[2] == r"| a\|b |"


def test_latex_shows_names_and_runs_nothing() -> None:
    specials = r"\input{x} $1$ a_b^c & 5% #1 ~ <|>"
    assert latex(specials) == (
        r"\textbackslash{}input\{x\} \$1\$ a\_b\textasciicircum{}c \& 5\% \#1 \textasciitilde{} \textless{}\textbar{}\textgreater{}"
    )
    assert latex("[a] *b") == "{[}a{]} {*}b"  # an optional argument, and a star, of the line break before them
    assert latex("a--b ''c '' ?`") == "a-{}-b '{}'c '{}' ?{}`"
    assert latex("Zoë, Dvořák, ß, ± ω 鳥\x1b\n") == (r"Zo\"{e}, Dvo\v{r}\'{a}k, \ss{}, $\pm$ {[}U+03C9{]} {[}U+9CE5{]}\textbackslash{}x1b")
    assert latex("e\u0301") == latex("é") == r"\'{e}"
