"""Where `s2m2 fit` writes its model."""

import os
from pathlib import Path

from s2m2.errors import InputError

MODEL = "model.json"
"""In the folder of every model."""


def check_model_output(folder: Path, *, add: bool, overwrite: bool) -> None:
    """Find out before any work whether `s2m2 fit` can write its model there.

    Raises:
        InputError: it cannot; the message names the flag that would change that.
    """
    if (folder / MODEL).is_file():
        if not add and not overwrite:
            raise InputError(f"--output {folder} holds a model already; --add true adds the images to it, --overwrite true replaces it")
    elif add:
        raise InputError(f"--add: there is no model in --output {folder}")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--output {folder} exists and is no model; name another folder")
    above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"--output {folder} cannot be written: {above} is {'read-only for you' if above.is_dir() else 'no folder'}")
