# shim
# ruff: noqa
from s2m2.reports.trust import Closeup as Closeup  # noqa: F401
from s2m2.reports.trust import TrustRow as TrustRow  # noqa: F401
from s2m2.reports.trust import closeup as closeup  # noqa: F401
from s2m2.reports.trust import left_out as left_out  # noqa: F401
from s2m2.reports.trust import reliability_plots as reliability_plots  # noqa: F401
from s2m2.reports.trust import trust_rows as trust_rows  # noqa: F401
__all__ = ['Closeup', 'TrustRow', 'closeup', 'left_out', 'reliability_plots', 'trust_rows']
