# shim
from s2m2.analysis.geometry import double_chunks as double_pieces  # noqa: F401
