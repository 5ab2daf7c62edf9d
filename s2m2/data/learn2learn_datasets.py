"""Datasets that learn2learn downloads (`--data.download learn2learn`), prepared in the user's cache.

learn2learn's classes download, unpack and arrange the files; the readers of this package prepare them, exactly as `s2m2 prepare` does.
learn2learn unpickles its downloads, which would run any code in them. During its work the name `pickle` in its modules therefore stands
for a reader that reads nothing, and archives are unpacked by Python's `data` filter, which keeps to the folder. The pickles are read
afterwards by a reader of arrays and plain values only.
"""

import contextlib
import importlib
import pickle
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from filelock import FileLock

from s2m2.data.dataset import ImageDataset, open_dataset, user_cache
from s2m2.data.prepare import prepare
from s2m2.data.sources import list_source
from s2m2.errors import InputError

NOT_INSTALLED = (
    "learn2learn is not installed; in a checkout `uv sync --extra learn2learn` installs it, elsewhere `pip install gym requests tqdm && "
    "pip install --no-deps --config-settings=--build-option=build_ext learn2learn==0.2.0`"
)
"""The extra fails with pip: learn2learn requires qpth, which only one of its heads imports and which forbids NumPy 2."""
MODES = ("train", "validation", "test")
"""learn2learn's names of base, validation and novel."""
FILES_FOLDER, DATASET_FOLDER = "files", "table"
"""Folders of a dataset in the cache: the files, learn2learn's `root`, and the dataset prepared from them, in the place of s2m2 0.1.0."""
CLASSES = {
    "mini_imagenet": "MiniImagenet",
    "tiered_imagenet": "TieredImagenet",
    "cifar_fs": "CIFARFS",
    "fc100": "FC100",
    "cub": "CUBirds200",
}
"""Class of `learn2learn.vision.datasets` for each dataset."""


def import_learn2learn() -> ModuleType:
    """learn2learn, which takes seconds to import, without the notice of gym, which it imports.

    Raises:
        InputError: it or one of its requirements is not installed.
    """
    if "gym" not in sys.modules:
        with contextlib.suppress(ImportError):
            importlib.import_module("gym_notices.notices").notices.clear()
    try:
        return importlib.import_module("learn2learn")
    except ImportError as error:
        if error.name == "learn2learn":
            raise InputError(NOT_INSTALLED) from error
        raise InputError(f"learn2learn cannot be imported: {_one_line(error)}") from error


def downloaded_dataset(name: str, cache_dir: Path | None = None) -> ImageDataset:
    """A dataset of learn2learn: from the cache, else prepared from its files, which are downloaded if they are missing.

    Classes, images and splits are those of `s2m2 prepare --dataset <name>`; CUB, which learn2learn splits otherwise, has the split of
    Chen et al. (ICLR 2019), which S2M2 uses. With files in `learn2learn/<name>/files`, learn2learn's root of the dataset, nothing is
    downloaded.

    Args:
        name: one of `CLASSES`.
        cache_dir: folder of cached datasets; None: `user_cache()`.

    Raises:
        InputError: learn2learn is not installed, the download fails, or its files cannot be read; then nothing of it is left.
    """
    if name not in CLASSES:
        raise InputError(f"learn2learn downloads no dataset {name}; --data.path must be one of {', '.join(CLASSES)}")
    folder = (cache_dir or user_cache()) / "learn2learn" / name
    with contextlib.suppress(InputError):
        return open_dataset(folder / DATASET_FOLDER)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {folder.parent}: {error.strerror or error}") from error
    # Of several processes of one run, one downloads; the others wait for its dataset.
    with FileLock(folder.with_name(f".{name}.lock")):
        with contextlib.suppress(InputError):
            return open_dataset(folder / DATASET_FOLDER)
        if not (folder / FILES_FOLDER).is_dir():
            _download(name, folder / FILES_FOLDER)
        return prepare(folder / FILES_FOLDER, folder / DATASET_FOLDER, dataset=name, overwrite=True)


def _download(name: str, files: Path) -> None:
    """Have learn2learn put the files of a dataset into a new folder, which appears once all of them can be read."""
    class_ = getattr(import_learn2learn().vision.datasets, CLASSES[name])
    partial = files.parent.with_name(f".{name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        with _guarded(sys.modules[class_.__module__]), contextlib.redirect_stdout(sys.stderr):
            for mode in MODES:
                class_(str(partial), mode=mode, download=True)
        list_source(partial, name)
        files.parent.mkdir(exist_ok=True)
        partial.rename(files)
    except Exception as error:  # Of the network, an archive, a missing file.
        raise InputError(f"learn2learn cannot download {name}: {_one_line(error)}; nothing of it is kept") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _guarded(module: ModuleType) -> Iterator[None]:
    """Keep a module of learn2learn from unpickling anything, and archives from writing outside their folder."""
    replaced: list[tuple[Any, str, Any]] = [(module, "pickle", BLIND_PICKLE)] if hasattr(module, "pickle") else []
    if hasattr(tarfile, "data_filter"):  # Python 3.11.4 and later
        replaced.append((tarfile.TarFile, "extraction_filter", staticmethod(tarfile.data_filter)))
    before = [(owner, name, vars(owner).get(name)) for owner, name, _ in replaced]
    for owner, name, value in replaced:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def _nothing(file: object) -> dict[str, Any]:
    """The apparent content of every pickle: no image and no label, under all keys that learn2learn looks up."""
    return {"image_data": np.empty((0, 1, 1, 3), np.uint8), "class_dict": {}, "label_specific": [], "data": [], "labels": []}


BLIND_PICKLE = SimpleNamespace(
    load=_nothing, _Unpickler=lambda file: SimpleNamespace(load=lambda: _nothing(file)), UnpicklingError=pickle.UnpicklingError
)
"""Stands for the module `pickle` in learn2learn."""


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, InputError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
