# shim
from s2m2.runs.logging import MetricLog, read_metrics  # noqa: F401
