# shim
from s2m2.analysis.measurements import (
    changed_stages,  # noqa: F401
    finished_stages,  # noqa: F401
    weights_digest,  # noqa: F401
)
