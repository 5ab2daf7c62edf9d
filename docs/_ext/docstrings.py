"""Docstrings are plain text with names in backticks; here they become reStructuredText, so that a norm's bars and a product's star stay."""

import re
from typing import Any

MARKUP = re.compile(r"[|*]|(?<=\w)_(?!\w)")
BULLET = re.compile(r"^\s*\* ")
RANGED = re.compile(r"~?(?:\w+\.)*Annotated\[([\w~.]+), [^\]]*\]")
"""A type with its range, which the page of settings or the text beside it tells."""
SECTION = re.compile(r"^(Args|Returns|Raises|Example|Attributes after `fit`|Attributes):")


COLON = "\ue000"
"""Stands for a colon of an attribute's docstring while napoleon reads it, which would take what comes before for the type."""


def setup(app: Any) -> dict[str, Any]:
    """Before napoleon, which comes at 500, and after it."""
    app.connect("autodoc-process-docstring", process, priority=400)
    app.connect("autodoc-process-docstring", finish, priority=600)
    app.connect("autodoc-process-signature", without_ranges)
    app.connect("doctree-read", with_dashes)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Prepare the lines of a docstring."""
    lines[:] = with_literal_blocks([line if line.lstrip().startswith((">>>", "...")) else escaped(line) for line in lines])
    if what in ("attribute", "property"):
        lines[:] = [line.replace(":", COLON) for line in lines]


def finish(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Put the colons back."""
    lines[:] = [line.replace(COLON, ":") for line in lines]


def without_ranges(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """A signature with `int` in place of `Annotated[int, PositiveInt, '1 or more']`."""
    return (RANGED.sub(r"\1", signature) if signature else signature), returns


def with_dashes(app: Any, doctree: Any) -> None:
    """Sphinx writes two hyphens between a parameter and its meaning, and leaves it to `smartquotes` to make a dash of them."""
    from docutils import nodes

    for text in list(doctree.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" – "))


def escaped(line: str) -> str:
    """A line in which bars, stars and final underscores stand for themselves; text in backticks and a bullet stay."""
    bullet = BULLET.match(line)
    start, rest = (bullet[0], line[bullet.end() :]) if bullet else ("", line)
    parts = rest.split("`")
    return start + "`".join(part if number % 2 else MARKUP.sub(r"\\\g<0>", part) for number, part in enumerate(parts))


def with_literal_blocks(lines: list[str]) -> list[str]:
    """What is indented before the first section, a formula or code, as a literal block."""
    result: list[str] = []
    inside = False
    for number, line in enumerate(lines):
        if SECTION.match(line):
            return [*result, *lines[number:]]
        indented = line.startswith("    ")
        if line.strip() and indented != inside:
            result += ["", "::", ""] if indented else [""]
            inside = indented
        result.append(line.replace("\\", "") if indented else line)
    return result
