# shim
from s2m2.data.standard_datasets import DATASETS  # noqa: F401
from s2m2.data.standard_datasets import StandardDataset as Dataset  # noqa: F401
