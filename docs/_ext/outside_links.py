"""Links of a page work on a code host and in the site: those to reports and other pages outside `docs` lead to their copies in the site.

A Markdown page names every file relative to itself. In the site, `README.md` is the front page; reports, `benchmarks/README.md` and
`CONTRIBUTING.md` are pages, and scripts of tutorials are what they printed; any other file is a download, which MyST makes of it.
"""

import os
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
GALLERY = "learn"
"""Folder of rendered tutorials, `sphinx_gallery_conf` of `conf.py`."""
REPORT_FOLDERS = ("benchmarks/reports", "benchmarks/studies/reports")
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s#]+)(#[^)\s]*)?(\))")
FENCE = re.compile(r"^(\s*)(```|~~~)")


def setup(app: Any) -> dict[str, Any]:
    """Copy the pages before Sphinx looks for sources, and turn the links of all others as they are read."""
    app.add_config_value("reports_folder", "reports", "env")
    app.connect("builder-inited", copy_pages)
    app.connect("source-read", turn_links)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def pages(reports_folder: str = "reports") -> dict[str, str]:
    """Paths from the root of the repository, of files and folders, each with the file of the page that stands for it in the site."""
    reports = {
        f"{folder}/{file.name}": f"{reports_folder}/{file.name}"
        for folder in REPORT_FOLDERS
        for file in sorted((ROOT / folder).glob("*.md"))
    }
    tutorials = {f"docs/tutorials/{file.name}": f"{GALLERY}/{file.stem}.rst" for file in sorted((ROOT / "docs/tutorials").glob("*.py"))}
    overview = f"{reports_folder}/index.md"
    folders = dict.fromkeys((*REPORT_FOLDERS, "benchmarks", "benchmarks/studies", "benchmarks/README.md"), overview)
    others = {"README.md": "index.md", "CONTRIBUTING.md": f"{reports_folder}/contributing.md", "docs/tutorials": f"{GALLERY}/index.rst"}
    return {**reports, **tutorials, **folders, **others}


def copies(reports_folder: str) -> dict[str, str]:
    """Those of `pages` that are copied."""
    return {path: page for path, page in pages(reports_folder).items() if path.endswith(".md") and page.startswith(f"{reports_folder}/")}


def copy_pages(app: Any) -> None:
    """Write the copies into the source folder, where they differ from what is there, and remove those without a source."""
    source, names = Path(app.srcdir), copies(app.config.reports_folder)
    folder = source / app.config.reports_folder
    folder.mkdir(exist_ok=True)
    for path, page in names.items():
        text = with_site_links((ROOT / path).read_text(encoding="utf-8"), path, page, app.config.reports_folder)
        if page.endswith("/index.md"):
            reports = sorted(Path(other).stem for source, other in names.items() if posixpath.dirname(source) in REPORT_FOLDERS)
            text += "\n".join(["", "```{toctree}", ":hidden:", "", *reports, "```", ""])
        target = source / page
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")
    for file in folder.glob("*.md"):
        if f"{app.config.reports_folder}/{file.name}" not in names.values():
            file.unlink()


def turn_links(app: Any, docname: str, source: list[str]) -> None:
    """Turn the links of a page that is no copy."""
    if not docname.startswith(f"{app.config.reports_folder}/") and Path(app.env.doc2path(docname)).suffix == ".md":
        source[0] = with_site_links(source[0], f"docs/{docname}.md", docname, app.config.reports_folder)


def with_site_links(text: str, path: str, page: str, reports_folder: str = "reports") -> str:
    """A Markdown page with its links to files as the site needs them; code blocks stay as they are.

    Args:
        path: of the page, from the root of the repository.
        page: its name in the site.
    """
    known = pages(reports_folder)

    def turned(match: re.Match[str]) -> str:
        start, target, anchor, end = match.groups()
        if "://" in target or target.startswith(("mailto:", "/", "<")):
            return match[0]
        meant = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        if meant in known:
            return f"{start}/{known[meant]}{anchor or ''}{end}"
        if meant.startswith("docs/"):
            return f"{start}/{meant.removeprefix('docs/')}{anchor or ''}{end}"
        return f"{start}{os.path.relpath(meant, posixpath.dirname(f'docs/{page}'))}{anchor or ''}{end}"

    return _outside_of_code(text, lambda line: LINK.sub(turned, line))


def _outside_of_code(text: str, change: Callable[[str], str]) -> str:
    lines, fence = [], ""
    for line in text.splitlines(keepends=True):
        mark = FENCE.match(line)
        lines.append(line if fence or mark else change(line))
        if mark:
            fence = "" if fence == mark[2] else fence or mark[2]
    return "".join(lines)
