"""Templates of the pages. They share the style `page.css`, escape what they are given, and refuse what they are not given.

Templates of Markdown escape nothing, as HTML's escapes mean other things there: what users named comes to them as code or escaped.
"""

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from s2m2.reporting.plots import svg

MARKDOWN = ".md.j2"
"""How templates of Markdown end."""


def template(name: str) -> Template:
    """The template of a page that holds everything it shows."""
    environment = Environment(
        loader=PackageLoader("s2m2.reporting", ""),
        autoescape=lambda file: not (file or "").endswith(MARKDOWN),  # noqa: S701 (HTML is escaped)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg"] = lambda plot: Markup(svg(plot))  # noqa: S704 (drawn here)
    environment.filters["thousands"] = lambda number: f"{number:,}"
    return environment.get_template(name)
