"""What the commands that train do before the first step."""

import pytest
from lightning_fabric import Fabric

from s2m2.commands import training
from s2m2.commands.training import compile_where_asked, fresh_networks
from s2m2.data.dataset import ImageDataset
from s2m2.recipe import DataConfig, ModelConfig, Recipe, RuntimeConfig

RECIPE = Recipe(data=DataConfig(image_size=28), model=ModelConfig(width=4), runtime=RuntimeConfig(compile=True))


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
    asked: list[object] = []
    monkeypatch.setattr(training, "compile_networks", lambda *networks: asked.append(networks))
    fabric = Fabric(accelerator="cpu", devices=1)
    networks = fresh_networks(RECIPE, small_glyphs, fabric)
    monkeypatch.setattr(Fabric, "world_size", property(lambda fabric: devices))
    monkeypatch.setattr(Fabric, "is_global_zero", property(lambda fabric: first))
    compile_where_asked(RECIPE, fabric, *networks)
    assert len(asked) == compiled
    assert capsys.readouterr().out.count("--runtime.compile is left out") == lines
