"""A run is trained by one process at a time, and by the next one when that is gone."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from lightning_fabric import Fabric

from s2m2.cli import main
from s2m2.data.catalog import ImageDatasets
from s2m2.data.dataset import ImageDataset
from s2m2.errors import InputError
from s2m2.recipe import Recipe, read_recipe
from s2m2.runs.directory import RunDirectory, training_lock
from s2m2.runs.session import begin_session
from tests.integration.tiny import tiny_flags

HOLD = """
import sys
from pathlib import Path
from s2m2.runs.directory import RunDirectory
from s2m2.runs.directory import training_lock
with training_lock(RunDirectory(Path(sys.argv[1]))) as held:
    print(held, flush=True)
    sys.stdin.read()
"""


def test_a_second_training_is_refused_in_one_line_until_the_first_is_killed(
    glyph_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        flags = tiny_flags(glyph_folder, run.path, pretrain__epochs="1")
        assert main(["pretrain", *flags]) == 2
        output = capsys.readouterr()
        assert output.err == f"s2m2 pretrain: --run {run.path} is being trained by another process\n"
        assert output.out.startswith("pretrain: no use for --finetune.epochs, ")  # flags of other stages, and nothing else
        assert output.out.count("\n") == 1
        assert list(run.path.iterdir()) == [run.training_lock]  # the refused call leaves no trace
    finally:
        holder.kill()
        holder.communicate()
    assert main(["pretrain", *flags]) == 0
    assert not run.training_lock.exists()


def test_the_lock_is_free_again_at_the_end(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    with training_lock(run) as held, training_lock(run) as again:
        assert (held, again) == (True, False)
    assert not list(tmp_path.iterdir())
    with training_lock(run) as held:
        assert held


def test_of_two_starts_at_once_one_decides_the_recipe(small_glyphs: ImageDataset, tmp_path: Path) -> None:
    datasets = ImageDatasets(base=small_glyphs, validation=small_glyphs, novel=small_glyphs)
    fabric = Fabric(accelerator="cpu", devices=1)
    refusals: list[str] = []
    for round_ in range(10):
        run, together = RunDirectory(tmp_path / str(round_)), Barrier(4)

        def start(seed: int, run: RunDirectory = run, together: Barrier = together) -> int | None:
            together.wait()
            try:
                return begin_session(Recipe(seed=seed), run, fabric, datasets, trains=True).recipe.seed
            except InputError as error:
                refusals.append(str(error))
                return None

        with ThreadPoolExecutor(4) as pool:
            winners = [seed for seed in pool.map(start, range(4)) if seed is not None]
        assert all("holds a run with seed" in text or "is being trained by another process" in text for text in refusals)
        assert [read_recipe(run.recipe).seed] == winners
        assert not run.opening_lock.exists()


def test_a_new_directory_is_removed_again_where_it_cannot_be_opened(
    small_glyphs: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("s2m2.runs.directory.write_text", refused)
    datasets = ImageDatasets(base=small_glyphs, validation=small_glyphs, novel=small_glyphs)
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        begin_session(Recipe(), RunDirectory(tmp_path / "run"), Fabric(accelerator="cpu", devices=1), datasets, trains=True)
    assert not list(tmp_path.iterdir())
