# shim
from s2m2.data.batches import BaseSplit, split_base  # noqa: F401
