# shim
from s2m2.training.devices import check_launcher as check_launcher
from s2m2.training.devices import cluster_environment as own_environment  # noqa: F401
