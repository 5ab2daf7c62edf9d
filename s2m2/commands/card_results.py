# shim
from s2m2.reports.exporting import card_results as results_of  # noqa: F401
