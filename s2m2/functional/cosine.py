# shim
from s2m2.classifiers.cosine import SHIFT

__all__ = ["SHIFT"]
