# shim
from s2m2.data.standard_datasets import DATASETS
from s2m2.data.standard_datasets import StandardDataset as Dataset

__all__ = ["DATASETS", "Dataset"]
