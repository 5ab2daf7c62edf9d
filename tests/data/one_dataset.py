"""One dataset with the classes of every split."""

from s2m2.data.catalog import ImageDatasets
from s2m2.data.dataset import ImageDataset


def one_dataset(dataset: ImageDataset) -> ImageDatasets:
    return ImageDatasets(base=dataset, validation=dataset, novel=dataset)
