# shim
# ruff: noqa
from s2m2.reports.tables import csv_text as csv_text  # noqa: F401
from s2m2.reports.tables import markdown_table as markdown_table  # noqa: F401
from s2m2.reports.tables import scores_csv as scores_csv  # noqa: F401
from s2m2.reports.tables import scores_markdown as scores_markdown  # noqa: F401
__all__ = ['csv_text', 'markdown_table', 'scores_csv', 'scores_markdown']
