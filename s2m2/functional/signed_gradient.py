# shim
# ruff: noqa
from s2m2.analysis.predictions import gradient_signs as gradient_signs  # noqa: F401
from s2m2.analysis.predictions import perturb as perturb  # noqa: F401
__all__ = ['gradient_signs', 'perturb']
