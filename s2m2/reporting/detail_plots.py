# shim
# ruff: noqa
from s2m2.reports.images import projection_plot as projection_plot  # noqa: F401
from s2m2.reports.images import short_name as short_name  # noqa: F401
from s2m2.reports.trust import confused_pairs as confused_pairs  # noqa: F401
from s2m2.reports.trust import confusion_plot as confusion_plot  # noqa: F401
from s2m2.reports.trust import reliability_plot as reliability_plot  # noqa: F401
__all__ = ['confused_pairs', 'confusion_plot', 'projection_plot', 'reliability_plot', 'short_name']
