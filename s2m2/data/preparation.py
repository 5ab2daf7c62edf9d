# shim
from s2m2.data.prepare import prepare

__all__ = ["prepare"]
