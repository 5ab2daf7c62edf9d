"""A page of the site asks no other host for anything: the build fails where one would. Links that a reader may follow are no requests."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

ELSEWHERE = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
STYLE_REQUEST = re.compile(r"""(?:url\(|@import)\s*["']?\s*((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)
SOURCES = ("src", "srcset", "poster", "data", "action")
"""Attributes that a browser follows by itself, or sends a form to."""
FOLLOWED_LINKS = frozenset({"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "manifest"})
"""Kinds of <link> that a browser follows by itself."""


def setup(app: Any) -> dict[str, Any]:
    """Check the site when it is built."""
    app.connect("build-finished", check_site)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def check_site(app: Any, failure: Exception | None) -> None:
    """Raise an error that names pages and addresses, if a built page asks another host."""
    from sphinx.errors import ExtensionError

    if failure is not None or app.builder.format != "html":
        return
    found = [f"{page.relative_to(app.outdir)}: {address}" for page, address in site_requests(Path(app.outdir))]
    if found:
        raise ExtensionError("pages ask other hosts:\n  " + "\n  ".join(found))


def site_requests(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files of a site, each with an address of another host that a browser would ask by itself."""
    for page in sorted(folder.rglob("*.html")):
        yield from ((page, address) for address in page_requests(page.read_text(encoding="utf-8")))
    for sheet in sorted(folder.rglob("*.css")):
        yield from ((sheet, address) for address in STYLE_REQUEST.findall(sheet.read_text(encoding="utf-8")))


def page_requests(html: str) -> list[str]:
    """Addresses of other hosts that a browser would ask by itself when it opens a page."""
    reader = _Requests()
    reader.feed(html)
    reader.close()
    return reader.found


class _Requests(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        followed = [values[name] for name in SOURCES if name in values]
        if tag == "link" and FOLLOWED_LINKS & set(values.get("rel", "").lower().split()):
            followed.append(values.get("href", ""))
        if tag in ("image", "use"):  # of SVG
            followed += [values.get("href", ""), values.get("xlink:href", "")]
        self.found += [address.strip() for address in followed if ELSEWHERE.match(address)]
        self.found += STYLE_REQUEST.findall(values.get("style", ""))
        self._in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.found += STYLE_REQUEST.findall(data)
