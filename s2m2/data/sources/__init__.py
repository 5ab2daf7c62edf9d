"""Readers of images on disk, one per layout. Each returns a `Listing`; no image is opened here."""

from s2m2.data.sources.cifar100 import download_cifar100
from s2m2.data.sources.listing import Listing
from s2m2.data.sources.recognition import READERS, list_source, survey_source
from s2m2.data.sources.unpickling import read_pickle

__all__ = ["READERS", "Listing", "download_cifar100", "list_source", "read_pickle", "survey_source"]
