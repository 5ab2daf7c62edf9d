"""Templates of the pages. They share the style `page.css`, escape what they are given, and refuse what they are not given."""

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from s2m2.reporting.plots import svg


def template(name: str) -> Template:
    """The template of a page that holds everything it shows."""
    environment = Environment(
        loader=PackageLoader("s2m2.reporting", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["svg"] = lambda plot: Markup(svg(plot))  # noqa: S704 (drawn here)
    environment.filters["thousands"] = lambda number: f"{number:,}"
    return environment.get_template(name)
