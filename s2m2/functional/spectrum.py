# shim
# ruff: noqa
from s2m2.analysis.geometry import ClassSpectrum as ClassSpectrum  # noqa: F401
from s2m2.analysis.geometry import class_spectrum as class_spectrum  # noqa: F401
__all__ = ['ClassSpectrum', 'class_spectrum']
