# shim
# ruff: noqa
from s2m2.analysis.representation import layer_name as layer_name  # noqa: F401
from s2m2.analysis.representation import map_layers as map_layers  # noqa: F401
__all__ = ['layer_name', 'map_layers']
