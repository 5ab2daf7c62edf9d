"""Shared by all tests: isolation from the user's machine, one thread per process, markers, and a small dataset of glyphs."""

import gc
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from s2m2.data.dataset import ImageDataset

# Set before torch and NumPy are imported, and inherited by every process that a test starts. Tests are distributed over processes, and
# many start processes of their own: with more threads each, they would wait for one another.
for library in ("OMP", "MKL", "OPENBLAS"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
# Variables of launchers, services and terminals that would change what tests see.
OUTSIDE = re.compile(
    r"(SLURM|MASTER|TORCHELASTIC|WANDB|MLFLOW|S2M2|HF|XDG)_.*"
    r"|RANK|LOCAL_RANK|NODE_RANK|WORLD_SIZE|LOCAL_WORLD_SIZE|COLUMNS|LINES|FORCE_COLOR|NO_COLOR"
)
# Tests start a hundred processes, each of which would compile this package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
TEST_DATA = str(Path(os.environ.get("S2M2_TEST_DATA", "real-images")).absolute())
for variable in [name for name in os.environ if OUTSIDE.fullmatch(name)]:
    del os.environ[variable]
os.environ["S2M2_TEST_DATA"] = TEST_DATA

# Torch and all modules of tests live as long as the process: a search for garbage among them takes a second, and finds nothing.
gc.disable()
# Torch and s2m2 are imported by fixtures: the process that only distributes the tests needs neither, and all others wait for it.

MAX_PROCESSES = 4
"""Each imports torch for itself, and a container may report many more processors than it has."""
LONGEST = (
    "test_soak.py", "test_processes.py", "test_nodes.py", "test_pipeline.py", "test_kill.py", "test_studies.py", "test_golden.py",
    "test_recipes.py", "test_prepare_system.py", "test_loop.py", "test_cli.py", "test_file_evaluation.py", "test_estimators.py",
)  # fmt: skip
"""Modules that start first, so that none of them is all that is left at the end."""
SLOW = (
    "integration/", "benchmarks/", "golden/", "api/test_whole_method.py", "api/test_own_images.py", "commands/test_recognition.py",
    "commands/test_serving.py", "recognition/test_saving.py", "recognition/test_onnx_export.py", "recognition/test_serving_page.py",
    "recognition/test_serving_many.py", "recognition/test_resuming.py", "recognition/test_calibrating.py",
    "evaluation/test_file_evaluation.py", "evaluation/test_job_sizes.py", "reports/test_exporting_errors.py",
    "classifiers/test_estimators.py", "recognition/test_classifier.py", "training/test_step_mix.py",
    "reports/test_exporting.py", "training/test_loop.py",
    "training/test_compiling.py", "training/test_no_waiting.py", "training/test_devices.py", "training/test_distributed.py",
    "data/test_prepare_system.py", "analysis/test_run_analysis.py", "training/test_profiling.py",
    "reports/test_html.py", "reports/test_images.py", "reports/test_analysis_section.py", "reports/test_card_datasets.py",
    "runs/test_lock.py", "data/test_standard_datasets.py::test_a_run_trains_at", "runs/test_importing.py::test_an_imported_run_is_scored",
    "runs/test_importing.py::test_a_scored_run", "test_cli.py::test_a_run_directory_of_another_recipe",
)  # fmt: skip
"""What `pytest -m fast` leaves out, beside tests marked `slow`: what trains, starts processes or draws pages for seconds.

Folders and modules are not even imported then; what follows `::` is the beginning of the name of a test."""
TESTS = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Distribute the tests over processes, a module to one of them, so that its fixtures are set up once; named files run in this one."""
    if not config.pluginmanager.hasplugin("xdist") or hasattr(config, "workerinput"):
        return
    option = config.option
    if option.numprocesses is None and not any(".py" in argument for argument in config.args):
        option.numprocesses, option.maxprocesses = "auto", option.maxprocesses or MAX_PROCESSES
    if option.numprocesses and option.dist == "no":
        option.dist, option.loadscopereorder = "loadscope", False


def is_slow(path: Path, test: str = "") -> bool:
    return path.is_relative_to(TESTS) and f"{path.relative_to(TESTS).as_posix()}::{test}".startswith(SLOW)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if config.option.markexpr == "fast" and collection_path.is_file() and is_slow(collection_path) else None


@pytest.hookimpl(tryfirst=True)  # before tests are selected by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test as slow or fast; the longest modules first, all else in its order."""
    for item in items:
        if is_slow(item.path, item.name):
            item.add_marker("slow")
        if item.get_closest_marker("slow") is None:
            item.add_marker("fast")
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_collection_finish() -> None:
    """From here on garbage is collected, but not looked for in what was there before."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """Extensions complain of what is left at the end."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _isolated_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Neither the working directory nor the caches of the user, also for fixtures of modules."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # the processes of one call draw the glyphs once
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.chdir(folder)
        patch.setenv("S2M2_CACHE", str(shared / "cache"))
        yield


@pytest.fixture(autouse=True)
def _isolated_test(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory for each test."""
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


@pytest.fixture(scope="session")
def glyph_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset of 50 glyphs, 8 images each: 32 base, 8 validation and 10 novel classes."""
    from s2m2.data.glyphs import glyph_dataset

    cache = tmp_path_factory.mktemp("glyphs")
    glyph_dataset(cache, classes=50, images_per_class=8)
    return next(folder for folder in cache.iterdir() if not folder.name.startswith("."))


@pytest.fixture
def small_glyphs(glyph_folder: Path) -> "ImageDataset":
    """That dataset, opened."""
    from s2m2.data.dataset import open_dataset

    return open_dataset(glyph_folder)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One CPU thread, on which sums have one order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
