# shim
# ruff: noqa
from s2m2.analysis.predictions import Memorization as Memorization  # noqa: F401
from s2m2.analysis.predictions import PredictionQuality as PredictionQuality  # noqa: F401
from s2m2.analysis.predictions import memorization as memorization  # noqa: F401
from s2m2.analysis.predictions import prediction_quality as prediction_quality  # noqa: F401
__all__ = ['Memorization', 'PredictionQuality', 'memorization', 'prediction_quality']
