# shim
from s2m2.data.batches import BaseSplit, split_base

__all__ = ["BaseSplit", "split_base"]
