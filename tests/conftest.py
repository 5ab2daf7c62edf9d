"""What all tests share: processes with a thread each, a small table of real drawings, and training that repeats bit for bit."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# The tests are shared out among processes, and many start processes of their own: with more threads each, they wait for one another.
# Set before torch and NumPy are imported, and inherited by every process that a test starts.
for library in ("OMP", "MKL", "OPENBLAS"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import torch  # noqa: E402

from s2m2.data.dataset import ImageDataset, open_dataset  # noqa: E402
from s2m2.data.glyphs import glyph_dataset  # noqa: E402

MAX_PROCESSES = 4
"""Each imports torch anew, and a container may see many more processors than it is given."""
LONGEST = ("test_kill.py", "test_processes.py", "test_pipeline.py", "test_recipes.py", "test_domains.py")
"""Modules that are begun first, lest one of them be all that is left at the end."""


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Share the tests out among processes, a module to one of them, so that what it sets up is set up once; named files run in this one."""
    if not config.pluginmanager.hasplugin("xdist") or hasattr(config, "workerinput"):
        return
    option = config.option
    if option.numprocesses is None and not any(".py" in argument for argument in config.args):
        option.numprocesses, option.maxprocesses = "auto", option.maxprocesses or MAX_PROCESSES
    if option.numprocesses and option.dist == "no":
        option.dist, option.loadscopereorder = "loadscope", False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest modules first, all else in its order."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def glyph_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of 50 glyphs, 8 images each: 32 base, 8 validation and 10 novel classes."""
    cache = tmp_path_factory.mktemp("glyphs")
    glyph_dataset(cache, classes=50, images_per_class=8)
    return next(folder for folder in cache.iterdir() if not folder.name.startswith("."))


@pytest.fixture
def small_glyphs(glyph_folder: Path) -> ImageDataset:
    """That table, opened."""
    return open_dataset(glyph_folder)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One CPU thread, on which sums have one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
