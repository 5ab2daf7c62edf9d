# shim
from s2m2.analysis.double_pieces import CHUNK, double_pieces

__all__ = ["CHUNK", "double_pieces"]
