"""What all plots share: colors, size and legend, and the way into a page as SVG.

Each plot is a small figure of its own, so that a page can set them side by side or below each other. Figures are made without pyplot,
whose list of open figures is global state.
"""

import io
import re
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

COLORS = {
    "ink": "#23272f",
    "muted": "#6b7280",
    "line": "#d9dce1",
    "gray": "#8b93a0",
    "blue": "#2f6db3",
    "red": "#c4512d",
    "green": "#3f8f5f",
    "violet": "#8560b0",
}
"""Colors on white. In an SVG each becomes the CSS variable of its name, so that a page may choose others on black."""
STYLE: Any = {
    "font.size": 8,
    "text.color": COLORS["ink"],
    "axes.labelcolor": COLORS["muted"],
    "axes.edgecolor": COLORS["line"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": COLORS["line"],
    "grid.linewidth": 0.6,
    "xtick.color": COLORS["line"],
    "ytick.color": COLORS["line"],
    "xtick.labelcolor": COLORS["muted"],
    "ytick.labelcolor": COLORS["muted"],
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "none",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Plot:
    """A figure and what it shows in words."""

    title: str
    description: str
    """For those who cannot see it."""
    figure: Figure


def svg(plot: Plot) -> str:
    """The plot as one SVG element for a page: colors are CSS variables, text is text, nothing is loaded from elsewhere."""
    written = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": f"{plot.title} {plot.description}"}):
        plot.figure.savefig(written, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    drawing = written.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    # A page needs no name spaces, and a size that follows its own.
    drawing = re.sub(r' (xmlns(:\w+)?|version)="[^"]*"', "", drawing, count=3)
    drawing = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", drawing, count=1), count=1)
    for name, color in COLORS.items():
        drawing = drawing.replace(color, f"var(--{name})")
    return drawing.replace("<svg", '<svg aria-hidden="true"', 1)


def canvas(across: str, up: str) -> tuple[Figure, Axes]:
    """An empty figure of the common size, with the names of its axes."""
    figure = Figure(figsize=(4.4, 2.6), layout="constrained")
    axes = figure.add_subplot(xlabel=across, ylabel=up)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=across == "epoch"))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    return figure, axes


def in_percent(*sizes: Any) -> None:
    """Label axes of fractions in percent."""
    for side in sizes:
        side.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g}"))


def legend_above(axes: Axes, columns: int, *, backwards: bool = False) -> None:
    """A legend that cannot cover a line."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, reverse=backwards, borderaxespad=0.3, handlelength=1.6, columnspacing=1.4
    )
