# shim
from s2m2.runs.directory import training_lock  # noqa: F401
