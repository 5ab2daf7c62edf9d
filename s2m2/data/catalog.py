"""Data sets by name or folder."""

from pathlib import Path

from s2m2.data.glyphs import glyph_table
from s2m2.data.table import ImageTable, open_table
from s2m2.errors import InputError

DRAWN = {"glyphs": glyph_table}
"""Data sets that need no files."""


def load_table(name_or_folder: str) -> ImageTable:
    """The table of a named data set, or the one that `s2m2 prepare` wrote into a folder.

    Raises:
        InputError: it is neither.
    """
    if name_or_folder in DRAWN:
        return DRAWN[name_or_folder]()
    folder = Path(name_or_folder).expanduser()
    if not folder.is_dir():
        known = ", ".join(DRAWN)
        raise InputError(f"no data set {name_or_folder}: neither a folder that `s2m2 prepare` wrote nor one of {known}")
    return open_table(folder)
