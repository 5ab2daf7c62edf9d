# shim
# ruff: noqa
from s2m2.reports.plots import accuracy_curves as curves  # noqa: F401
from s2m2.reports.plots import distribution_plot as accuracy_plot  # noqa: F401
__all__ = ['accuracy_plot', 'curves']
