# shim
# ruff: noqa
from s2m2.reports.analysis_section import SERIES as SERIES  # noqa: F401
from s2m2.reports.analysis_section import head_plots as head_plots  # noqa: F401
from s2m2.reports.analysis_section import layer_plots as layer_plots  # noqa: F401
__all__ = ['SERIES', 'head_plots', 'layer_plots']
