# shim
# ruff: noqa
from s2m2.analysis.geometry import double_chunks as double_pieces  # noqa: F401
__all__ = ['double_pieces']
