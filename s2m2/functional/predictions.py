# shim
from s2m2.analysis.predictions import (
    Memorization,  # noqa: F401
    PredictionQuality,  # noqa: F401
    memorization,  # noqa: F401
    prediction_quality,  # noqa: F401
)
