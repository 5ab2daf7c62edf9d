# shim
from s2m2.analysis.predictions import (
    gradient_signs,  # noqa: F401
    perturb,  # noqa: F401
)
