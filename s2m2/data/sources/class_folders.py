"""A folder of class folders: `<root>/<class>/<picture>`."""

from pathlib import Path

from s2m2.data.sources.listing import Listing, class_folder_names, list_class_folders


def list_pictures(root: Path) -> Listing:
    """The pictures of all class folders in `root`; the folder gives its name to the data set.

    Raises:
        InputError: there is no such folder, it has no class folders, or a class has no picture.
    """
    return list_class_folders(root, class_folder_names(root), root.resolve().name)
