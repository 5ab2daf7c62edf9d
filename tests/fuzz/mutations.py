"""Files and documents that are nearly right, which reach further than noise."""

import json
import math
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from s2m2.errors import InputError

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, 1, -1, 2**31, 2**53 + 1, 1e308, -1e308, math.inf, -math.inf, math.nan, 1e-320]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "../..", "/", "~", "~nosuchuser", "null", "\0", "\x1b[31m", "=1", "[red]", "\udcff", "1e999", "0x10", "é" * 300]),
)
"""Values that a file may have in place of any other."""
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6
)


def accepts_or_refuses(read: Callable[[], Any]) -> None:
    """Read something: a value or an `InputError` is right, and any other exception is a fault.

    Names in a message may hold line breaks and control characters, which the command line escapes.
    """
    reason = "read"
    try:
        read()
    except InputError as error:
        reason = str(error)
    assert reason.strip()


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a document of dicts and lists."""
    found = [path]
    for key, value in document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ():
        found += places(value, (*path, key))
    return found


FEWER = settings(max_examples=settings.default.max_examples // 3)
"""Of tests that take a tenth of a second for each example."""


@st.composite
def documents(draw: st.DrawFn, valid: Any) -> Any:
    """A document with one to three values replaced, removed, or given twice under another name."""
    document = deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(document)))
        if not path:
            continue
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        action = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if action == "replace":
            parent[path[-1]] = draw(VALUES)
        elif action == "remove":
            del parent[path[-1]]
        elif isinstance(parent, dict):
            parent[draw(st.text(max_size=6))] = parent[path[-1]]
        else:
            parent.append(draw(VALUES))
    return document


@st.composite
def contents(draw: st.DrawFn, valid: bytes) -> bytes:
    """A file with some bytes replaced, inserted or removed; sometimes cut short, sometimes noise alone."""
    content = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from([0, 0, 1, 1, 4, 16]))
        content[start : start + length] = draw(st.binary(max_size=length or 8))
    end = draw(st.none() | st.integers(0, len(content)))
    return bytes(content[:end])


@st.composite
def texts(draw: st.DrawFn, valid: str, pieces: list[str]) -> str:
    """A text with pieces of its own grammar and others put in, removed and swapped, line by line."""
    lines = valid.splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(lines) - 1, 0)))
        action = draw(st.sampled_from(["insert", "remove", "repeat", "change"]))
        if action == "insert" or not lines:
            lines.insert(at, draw(st.sampled_from(pieces) | st.text(max_size=12)))
        elif action == "remove":
            del lines[at]
        elif action == "repeat":
            lines.insert(draw(st.integers(0, len(lines))), lines[at])
        else:
            cut = draw(st.integers(0, len(lines[at])))
            lines[at] = lines[at][:cut] + draw(st.sampled_from(pieces) | st.text(max_size=6)) + lines[at][cut:]
    return "".join(lines)


def write_document(path: Path, document: Any) -> None:
    """As JSON, with what JSON itself does not have: NaN, infinite numbers, single surrogates."""
    path.write_bytes(json.dumps(document).encode(errors="surrogatepass"))
