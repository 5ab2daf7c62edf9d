# shim
# ruff: noqa
from s2m2.reports.plots import training_plots as training_plots  # noqa: F401
__all__ = ['training_plots']
