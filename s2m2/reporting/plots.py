# shim
# ruff: noqa
from s2m2.reports.plots import COLORS as COLORS  # noqa: F401
from s2m2.reports.plots import Plot as Plot  # noqa: F401
from s2m2.reports.plots import STYLE as STYLE  # noqa: F401
from s2m2.reports.plots import canvas as canvas  # noqa: F401
from s2m2.reports.plots import in_percent as in_percent  # noqa: F401
from s2m2.reports.plots import legend_above as legend_above  # noqa: F401
from s2m2.reports.plots import svg as svg  # noqa: F401
__all__ = ['COLORS', 'Plot', 'STYLE', 'canvas', 'in_percent', 'legend_above', 'svg']
