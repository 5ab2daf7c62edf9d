# shim
from s2m2.runs.logging import SERVICES, OnceSink  # noqa: F401
