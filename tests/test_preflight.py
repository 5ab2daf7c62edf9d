"""A call that names what is not there is answered before torch is imported."""

import subprocess
import sys
import time

import pytest

from s2m2.cli.preflight import DRAWN_NAMES
from s2m2.data.catalog import DRAWN

CALLS = {
    "fit nosuchfolder --output m": "no such folder nosuchfolder",
    "fit . --output . --add true": "--add: there is no model in --output .",
    "predict nosuchmodel x.jpg": "there is no model folder nosuchmodel",
    "predict ~nosuchuser/m x.jpg": "there is no model folder ~nosuchuser/m",
    "predict . x.jpg": "there is no file or folder x.jpg",
    "predict . x.jpg --covrage 0.5": "no flag --covrage; did you mean --coverage?",
    "suggest nosuchmodel x.jpg": "there is no model folder nosuchmodel",
    "serve nosuchmodel": "there is no model folder nosuchmodel",
    "prepare nosuch --output y": "no such folder nosuch",
    "doctor a/nosuch": "no such folder a/nosuch",
    "doctor nosuch": "no such folder nosuch",
    "compare a b": "there is nothing at a",
    "table a b": "there is nothing at a",
    "import nosuch.tar --output y": "cannot read nosuch.tar",
    "export nosuch --output y": "--run nosuch is no run directory",
    "evaluate --run nosuch": "--run nosuch is no run directory: there is no such directory",
    "analyze --run nosuch": "--run nosuch is no run directory: there is no such directory",
    "evaluate --features none.npz": "no feature file none.npz",
    "run nosuch.yaml": "no recipe file nosuch.yaml",
    "run --pretrain.epochs three": "--pretrain.epochs is three",
    "run --data.path a/nosuch": "--data.path a/nosuch",
    "run --data.path nosuch": "no dataset nosuch: neither a folder",
    "run --data.path cifar_fs": "--data.download learn2learn obtains it",
}
SCRIPT = """
import sys
from s2m2.cli import main
for call in sys.argv[1:]:
    print(main(call.split()), [name for name in ("torch", "sklearn", "matplotlib") if name in sys.modules])
"""


def test_wrong_paths_and_flags_are_told_without_torch(tmp_path_factory: pytest.TempPathFactory) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *CALLS], cwd=tmp_path_factory.mktemp("empty"), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["2 []"] * len(CALLS)
    for line, (call, says) in zip(done.stderr.splitlines(), CALLS.items(), strict=True):
        assert line.startswith(f"s2m2 {call.split()[0]}: ")
        assert says in line


def test_a_missing_folder_is_told_at_once() -> None:
    times = []
    for _ in range(3):  # the best of three, as other tests run beside this one
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "s2m2", "fit", "nosuchfolder", "--output", "m"], capture_output=True, check=False)
        times.append(time.perf_counter() - start)
    assert min(times) < 1.5


def test_the_names_of_drawn_datasets_are_those_of_the_catalog() -> None:
    assert set(DRAWN_NAMES) == set(DRAWN)
