# shim
# ruff: noqa
from s2m2.reports.analysis_tables import MeasureTable as MeasureTable  # noqa: F401
from s2m2.reports.analysis_tables import analysis_tables as analysis_tables  # noqa: F401
from s2m2.reports.analysis_tables import entanglement_table as entanglement_table  # noqa: F401
from s2m2.reports.analysis_tables import flatness_table as flatness_table  # noqa: F401
from s2m2.reports.analysis_tables import head_tables as head_tables  # noqa: F401
__all__ = ['MeasureTable', 'analysis_tables', 'entanglement_table', 'flatness_table', 'head_tables']
