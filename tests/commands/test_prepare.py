from pathlib import Path

import pytest

from s2m2.commands.prepare import prepare_command
from s2m2.data.table import open_table
from s2m2.recipe import PrepareConfig
from tests.data.pictures import write_pictures


def test_the_summary_tells_counts_size_digest_and_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(tmp_path / "source", {"a": 3, "b": 2, "c": 4})
    lists = tmp_path / "lists.json"
    lists.write_text('{"base": ["a"], "validation": ["b"], "novel": ["c"]}')
    prepare_command(PrepareConfig(source=tmp_path / "source", output=tmp_path / "table", splits=str(lists), name="mine"))
    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.strip("│ \n").split("│")] for line in printed.splitlines() if line.startswith("│")]
    assert rows == [["base", "1", "3"], ["validation", "1", "2"], ["novel", "1", "4"]]
    table = open_table(tmp_path / "table")
    assert "9 pictures of 8x8 pixels" in printed
    assert table.digest[:16] in printed
    assert f"table in {tmp_path / 'table'}" in printed
    assert table.name == "mine"
