"""The command line as a user sees it: what it says, and what it leaves behind."""

import os
from pathlib import Path

import pytest

from s2m2.cli import main


def tree(folder: Path) -> set[str]:
    """Everything below a folder, and what its files hold."""
    found = set()
    for parent, folders, files in os.walk(folder):
        found |= {str(Path(parent, name)) for name in folders}
        found |= {f"{Path(parent, name)} {Path(parent, name).lstat().st_size}" for name in files}
    return found


def complaint(arguments: list[str], capfd: pytest.CaptureFixture[str], code: int = 2) -> str:
    """The one line that a call leaves on standard error."""
    capfd.readouterr()
    assert main(arguments) == code
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"s2m2 {arguments[0]}: ")
    return lines[0]
