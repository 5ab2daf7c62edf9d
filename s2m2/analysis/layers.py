# shim
from s2m2.analysis.representation import (
    layer_name,  # noqa: F401
    map_layers,  # noqa: F401
)
