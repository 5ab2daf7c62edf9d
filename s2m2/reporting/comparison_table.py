# shim
# ruff: noqa
from s2m2.reports.tables import comparison_caption as caption  # noqa: F401
from s2m2.reports.tables import comparison_csv as comparison_csv  # noqa: F401
from s2m2.reports.tables import comparison_markdown as comparison_markdown  # noqa: F401
from s2m2.reports.tables import comparison_table as comparison_table  # noqa: F401
__all__ = ['caption', 'comparison_csv', 'comparison_markdown', 'comparison_table']
