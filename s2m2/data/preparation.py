# shim
from s2m2.data.prepare import prepare  # noqa: F401
