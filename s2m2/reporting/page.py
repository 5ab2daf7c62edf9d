# shim
# ruff: noqa
from s2m2.reports.html import template as template  # noqa: F401
__all__ = ['template']
