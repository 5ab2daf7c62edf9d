"""Feature files of every format: what they hold, told by their first bytes. A format a module; `contents` chooses what is read."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

from s2m2.data.sources.unpickling import read_pickle
from s2m2.data.torch_files import OLD_TORCH_MAGIC, ZIP_MAGIC, read_torch_file
from s2m2.errors import InputError
from s2m2.evaluation.feature_formats.containers import contents_of
from s2m2.evaluation.feature_formats.contents import Contents, can_choose
from s2m2.evaluation.feature_formats.hdf5_files import read_hdf5
from s2m2.evaluation.feature_formats.numpy_files import read_npy, read_npy_values, read_npz
from s2m2.evaluation.feature_formats.safetensors_files import read_safetensors
from s2m2.evaluation.feature_formats.text_tables import read_text_table
from s2m2.io import check_regular

HEAD = 64
"""First bytes that are looked at."""
FORMATS: Mapping[str, tuple[tuple[str, ...], Callable[[Path], Contents]]] = {
    ".npz file": ((".npz",), read_npz),
    ".npy file": ((".npy",), read_npy),
    "torch file": ((".pt", ".pth", ".tar", ".ckpt"), lambda path: contents_of(path, _without_path(path, read_torch_file))),
    "HDF5 file": ((".hdf5", ".h5", ".hdf"), read_hdf5),
    ".safetensors file": ((".safetensors",), read_safetensors),
    "pickle": ((".plk", ".pkl", ".pickle"), lambda path: contents_of(path, _without_path(path, read_pickle))),
    "table of text": ((".csv", ".tsv", ".txt"), read_text_table),
}
"""Endings of names and reader of each format."""
READ_ENDINGS = tuple(ending for endings, _ in FORMATS.values() for ending in endings)
"""Endings of names of feature files that are read."""


def read_contents(path: Path, *, with_labels: bool = True) -> Contents:
    """The arrays of a feature file, not loaded yet.

    Raises:
        InputError: it is no feature file, or is damaged. The message states the fault without the file, except of a pickle.
    """
    name = format_of(path)
    if name is None:
        kind = next((kind for kind, (endings, _) in FORMATS.items() if path.suffix.lower() in endings), None)
        known = f"none of {', '.join(FORMATS)}"
        raise InputError(f"is no {kind}, or is damaged or cut short" if kind else f"is no feature file: {known}, by its first bytes")
    read = read_npy_values if name == ".npy file" and not with_labels else FORMATS[name][1]
    with guarded(name):
        return read(path)


def holds_features(path: Path) -> bool:
    """Whether a file is one of features, in place of a checkpoint of weights."""
    name = format_of(path)
    return name is not None and (name != "torch file" or can_choose(read_contents(path)))


@contextmanager
def guarded(name: str) -> Iterator[None]:
    """An error of a library that reads inside is one of a damaged file."""
    try:
        yield
    except (InputError, OSError) as error:
        if isinstance(error, InputError) or error.errno is not None:
            raise
        raise InputError(f"is no {name}, or is damaged or cut short") from error  # h5py's only kind
    except MemoryError as error:
        raise InputError("asks for more memory than there is") from error
    except Exception as error:  # the kind depends on where the file is damaged
        raise InputError(f"is no {name}, or is damaged or cut short") from error


def format_of(path: Path) -> str | None:
    """The format of a file, a key of `FORMATS`, by its first bytes; None: none of them."""
    check_regular(path)
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(ZIP_MAGIC):
        return _zip_format(path)
    if head.startswith(b"\x93NUMPY"):
        return ".npy file"
    if head.startswith(OLD_TORCH_MAGIC):
        return "torch file"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "HDF5 file"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size:
        return ".safetensors file"
    if head[:1] == b"\x80" or (path.suffix in FORMATS["pickle"][0] and head):
        return "pickle"
    is_text = head and b"\0" not in head and path.suffix not in (".npz", ".npy", ".safetensors")
    return "table of text" if is_text and any(delimiter in head for delimiter in (b",", b"\t", b";", b" ")) else None


def _zip_format(path: Path) -> str | None:
    try:
        with ZipFile(path) as archive:
            return "torch file" if any(name.endswith("/data.pkl") for name in archive.namelist()) else ".npz file"
    except OSError:
        raise
    except Exception:  # the kind depends on where the archive is damaged
        return None


def _without_path(path: Path, read: Callable[[Path], object]) -> object:
    """What a reader gives; its errors without the file, which the caller names."""
    try:
        return read(path)
    except InputError as error:
        raise InputError(str(error).removeprefix(f"{path} ")) from error
