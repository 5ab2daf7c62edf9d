"""Names by others, of classes, files and datasets, where they are shown: nothing in them is a command of a terminal, a formula of a
spreadsheet or markup of Markdown. HTML is escaped by its templates.
"""

import re

CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
"""Characters that a terminal takes for commands, and their escapes."""
LINE_BREAK = ord("\n")
CELL_CONTROLS = {code: escape for code, escape in CONTROLS.items() if chr(code) not in "\t\n"}
"""Those in a csv file, whose quotes hold line breaks and tabs."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""First characters of a cell that a spreadsheet computes."""


def encodable(text: str) -> str:
    """The text with escapes for what a terminal refuses, bytes of file names that are not UTF-8, or obeys, control characters."""
    return _utf8(text).translate({code: escape for code, escape in CONTROLS.items() if code != LINE_BREAK})


def csv_cell(text: str) -> str:
    """A text as a cell of a csv file: one that a spreadsheet would compute gets an apostrophe before it, which shows it as text.

    So does one that only lacks its apostrophes for that, so that `plain_cell` gives every text back. Control characters and bytes that
    are not UTF-8 stay escaped.
    """
    text = _utf8(text).translate(CELL_CONTROLS)
    return f"'{text}" if _is_formula(text) else text


def plain_cell(text: str) -> str:
    """The text of a cell that `csv_cell` has written."""
    return text[1:] if text[:1] == "'" and _is_formula(text) else text


def code(text: str) -> str:
    """A name by a user as Markdown code, in which nothing can pass for markup."""
    return "`" + " ".join(encodable(text).replace("`", "'").split()) + "`"


def plain(text: str) -> str:
    """Words by a user as Markdown that shows them literally, on one line."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(encodable(text).split())).rstrip(".")


def sentence(text: str) -> str:
    """A sentence with names in it as Markdown, which shows neither HTML nor links nor images for them."""
    return re.sub(r"([<\[`])", r"\\\1", encodable(text))


def _utf8(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _is_formula(text: str) -> bool:
    return text.lstrip("'").startswith(FORMULA_STARTS)
