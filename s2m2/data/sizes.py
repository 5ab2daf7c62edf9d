# shim
from s2m2.data.standard_datasets import resolve_size as settle_size
from s2m2.data.standard_datasets import standard_dataset as dataset_of

__all__ = ["dataset_of", "settle_size"]
