# shim
from s2m2.classifiers.span import where_float64_is as where_doubles_are

__all__ = ["where_doubles_are"]
