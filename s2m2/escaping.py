"""Names by others, of classes, files and datasets, where they are shown: nothing in them is a command of a terminal or of LaTeX, a
formula of a spreadsheet or markup of Markdown. HTML is escaped by its templates.
"""

import re
import unicodedata

CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
"""Characters that a terminal takes for commands, and their escapes."""
LINE_BREAK = ord("\n")
CELL_CONTROLS = {code: escape for code, escape in CONTROLS.items() if chr(code) not in "\t\n"}
"""Those in a csv file, whose quotes hold line breaks and tabs."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""First characters of a cell that a spreadsheet computes."""
LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "[": "{[}", "]": "{]}", "*": "{*}",  # which \\ before them would take for its own
    '"': r"\char34{}", "\0": "{}",
    "±": r"$\pm$", "×": r"$\times$", "–": "--", "—": "---", "‘": "`", "’": "'", "“": "``", "”": "''", "…": r"\dots{}",
    "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}",
}  # fmt: skip
"""Characters that are commands of LaTeX or no part of its first fonts, and what shows them; a zero stands between two of `LIGATURES`."""
LIGATURES = re.compile(r"([-'`,])(?=\1)|([?!])(?=`)")
"""Characters that become one with the next."""
LATEX_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".", "\u0308": '"',
    "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0323": "d", "\u0327": "c",
}  # fmt: skip
"""Combining accents, and the commands for them."""


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


def literally(text: str) -> str:
    """Words by a user as Markdown that shows them literally, on one line."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(encodable(text).split()))


def plain(text: str) -> str:
    """As `literally`, without a full stop at the end."""
    return literally(text).rstrip(".")


def latex(text: str) -> str:
    """Words by a user as LaTeX that shows them literally, on one line, in every engine and without a package.

    Letters beyond those of LaTeX's own fonts, Greek or Chinese say, become their number, {[}U+9CE5{]}.
    """
    line = unicodedata.normalize("NFC", " ".join(encodable(text).split()))
    return "".join(map(_latex_character, LIGATURES.sub("\\g<0>\0", line)))


def _latex_character(character: str) -> str:
    if character in LATEX or character.isascii():
        return LATEX.get(character, character)
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in LATEX_ACCENTS:
        return f"\\{LATEX_ACCENTS[parts[1]]}{{{parts[0]}}}"
    return latex(f"[U+{ord(character):04X}]")


def sentence(text: str) -> str:
    """A sentence with names in it as Markdown, which shows neither HTML nor links nor images for them."""
    return re.sub(r"([<\[`])", r"\\\1", encodable(text))


def _utf8(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _is_formula(text: str) -> bool:
    return text.lstrip("'").startswith(FORMULA_STARTS)
