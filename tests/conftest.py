"""What several tests share: a small table of real drawings, and training on one thread so that it repeats bit for bit."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from s2m2.data.glyphs import glyph_table
from s2m2.data.table import ImageTable, open_table


@pytest.fixture(scope="session")
def glyph_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of 50 glyphs, 8 pictures each: 32 base, 8 validation and 10 novel classes."""
    cache = tmp_path_factory.mktemp("glyphs")
    glyph_table(cache, classes=50, images_per_class=8)
    return next(folder for folder in cache.iterdir() if not folder.name.startswith("."))


@pytest.fixture
def small_glyphs(glyph_folder: Path) -> ImageTable:
    """That table, opened."""
    return open_table(glyph_folder)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One CPU thread, on which sums have one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
