# shim
from s2m2.analysis.geometry import (
    ClassSpectrum,  # noqa: F401
    class_spectrum,  # noqa: F401
)
