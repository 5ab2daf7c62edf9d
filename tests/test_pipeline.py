"""What happens before the first step: checks, the run directory, the start of a run, compiled networks."""

from dataclasses import replace
from pathlib import Path

import pytest
from lightning_fabric import Fabric

from s2m2 import pipeline
from s2m2.data.dataset import ImageDataset
from s2m2.errors import InputError
from s2m2.pipeline import compile_where_asked, fresh_networks, open_session
from s2m2.recipe import DataConfig, ModelConfig, Recipe, RuntimeConfig
from s2m2.runs.directory import RunDirectory
from s2m2.runs.provenance import read_provenance

COMPILED = Recipe(data=DataConfig(image_size=28), model=ModelConfig(width=4), runtime=RuntimeConfig(compile=True))


def recipe_of(dataset: Path) -> Recipe:
    return replace(Recipe(), data=DataConfig(path=str(dataset)), runtime=RuntimeConfig(accelerator="cpu"))


def test_the_start_of_a_run_is_recorded_before_any_stage_and_kept_afterwards(glyph_folder: Path, tmp_path: Path) -> None:
    session = open_session(recipe_of(glyph_folder), tmp_path / "run")
    started = read_provenance(session.run)["started"]
    again = open_session(recipe_of(glyph_folder), tmp_path / "run")
    assert read_provenance(again.run)["started"] == started


def test_a_check_that_fails_leaves_no_trace(glyph_folder: Path, tmp_path: Path) -> None:
    def refuse(recipe: Recipe, dataset: ImageDataset, run: RunDirectory) -> None:
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        open_session(recipe_of(glyph_folder), tmp_path / "run", refuse)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("devices", "first", "compiled", "lines"), [(1, True, 1, 0), (2, True, 0, 1), (2, False, 0, 0)])
def test_networks_of_several_devices_are_not_compiled_and_the_first_one_says_so(
    small_glyphs: ImageDataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    devices: int,
    first: bool,
    compiled: int,
    lines: int,
) -> None:
    calls: list[object] = []
    monkeypatch.setattr(pipeline, "compile_networks", lambda *networks: calls.append(networks))
    fabric = Fabric(accelerator="cpu", devices=1)
    networks = fresh_networks(COMPILED, small_glyphs, fabric)
    monkeypatch.setattr(Fabric, "world_size", property(lambda fabric: devices))
    monkeypatch.setattr(Fabric, "is_global_zero", property(lambda fabric: first))
    compile_where_asked(COMPILED, fabric, *networks)
    assert len(calls) == compiled
    assert capsys.readouterr().out.count("--runtime.compile is left out") == lines
