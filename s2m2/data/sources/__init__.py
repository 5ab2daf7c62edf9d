"""Readers of pictures on disk, one per layout. Each returns a `Listing`; no picture is opened here."""

from s2m2.data.sources import cifar_fs, class_folders
from s2m2.data.sources.listing import Listing

__all__ = ["Listing", "cifar_fs", "class_folders"]
