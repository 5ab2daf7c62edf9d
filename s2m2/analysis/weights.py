# shim
# ruff: noqa
from s2m2.analysis.measurements import changed_stages as changed_stages  # noqa: F401
from s2m2.analysis.measurements import finished_stages as finished_stages  # noqa: F401
from s2m2.analysis.measurements import weights_digest as weights_digest  # noqa: F401
__all__ = ['changed_stages', 'finished_stages', 'weights_digest']
