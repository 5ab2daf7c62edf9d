# shim
from s2m2.runs.logging import MetricSink, check_loggers, open_sinks  # noqa: F401
