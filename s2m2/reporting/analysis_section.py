# shim
# ruff: noqa
from s2m2.reports.analysis_section import AnalysisSection as AnalysisSection  # noqa: F401
from s2m2.reports.analysis_section import MeasurePart as MeasurePart  # noqa: F401
from s2m2.reports.analysis_section import analysis_section as analysis_section  # noqa: F401
__all__ = ['AnalysisSection', 'MeasurePart', 'analysis_section']
