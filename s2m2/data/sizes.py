# shim
from s2m2.data.standard_datasets import resolve_size as settle_size  # noqa: F401
from s2m2.data.standard_datasets import standard_dataset as dataset_of  # noqa: F401
