"""The whole method from Python: silent, with errors as exceptions, returning what was written; and parts of one's own by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import s2m2
from s2m2.console import console, progress_bar, quiet
from s2m2.io import write_text
from s2m2.recipe import recipe_to_yaml
from s2m2.recipe.overrides import as_recipe
from s2m2.runs.directory import default_path
from tests.integration.tiny import without_report

pytestmark = pytest.mark.usefixtures("one_thread")
TASKS = {"tasks": 20, "queries": 4}
TINY: dict[str, Any] = {
    "data": {"image_size": 28},
    "model": {"width": 8},
    "pretrain": {"epochs": 1, "batch_size": 32, "validation": TASKS},
    "finetune": {"epochs": 1, "batch_size": 32, "validation": TASKS},
    "evaluate": {"tasks": 20, "queries": 3, "shots": [1], "details": False, "classifiers": ["nearest_mean"]},
    "runtime": {"threads": 1, "accelerator": "cpu"},
}


def tiny(dataset: Path, **settings: Any) -> dict[str, Any]:
    return {**TINY, "data.path": str(dataset), **settings}


@pytest.fixture(scope="module")
def finished(glyph_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> s2m2.Run:
    """A run from a recipe file."""
    folder = tmp_path_factory.mktemp("runs")
    write_text(folder / "tiny.yaml", recipe_to_yaml(as_recipe(tiny(glyph_folder))))
    return s2m2.run(folder / "tiny.yaml", path=folder / "a")


def test_a_run_returns_what_was_written(finished: s2m2.Run) -> None:
    assert list(finished.outcomes) == ["pretrain", "finetune"]
    assert all(outcome.epochs == 1 for outcome in finished.outcomes.values())
    assert finished.report == finished.path / "report.html"
    assert finished.report.is_file()
    assert finished.recipe.data.size == 28
    assert [(row["features"], row["classifier"], row["shots"]) for row in finished.scores] == [
        ("pretrain", "nearest_mean", 1),
        ("finetune", "nearest_mean", 1),
    ]
    for row, result in zip(finished.scores, finished.results, strict=True):
        assert row["mean"] == result.mean == pytest.approx(np.mean(result.per_task))


def test_the_backbone_of_a_run_gives_features(finished: s2m2.Run) -> None:
    backbone = s2m2.load(finished.path)
    images = np.zeros((2, 28, 28, 3), dtype=np.uint8)
    np.testing.assert_array_equal(finished.backbone().features(images), backbone.features(images))
    assert finished.backbone("pretrain").stage == "pretrain"


def test_nothing_is_printed_unless_asked(finished: s2m2.Run, capfd: pytest.CaptureFixture[str]) -> None:
    again = s2m2.run(path=finished.path)
    assert capfd.readouterr() == ("", "")
    assert again.scores == finished.scores
    s2m2.pretrain(path=finished.path, verbose=True)
    assert "pretrain: finished before, after 1 epochs" in capfd.readouterr().out


def test_quiet_ends_with_its_block_and_hides_progress_bars(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet(), progress_bar("work", 3, "items") as advance:
        console.print("hidden")
        advance(1)
        with quiet(False):
            console.print("hidden")
    console.print("shown")
    assert capsys.readouterr().out == "shown\n"


def test_one_stage_at_a_time_gives_the_same_scores(
    finished: s2m2.Run, glyph_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = s2m2.pretrain(tiny(glyph_folder), tmp_path / "run")
    assert capfd.readouterr() == ("", "")
    assert (list(first.outcomes), list(first.results)) == (["pretrain"], [])
    with without_report():
        assert list(s2m2.finetune(path=tmp_path / "run").outcomes) == ["pretrain", "finetune"]
        assert s2m2.evaluate_run(path=tmp_path / "run").scores == finished.scores
        more = s2m2.evaluate_run(path=tmp_path / "run", **{"evaluate.shots": (1, 2), "evaluate.features": ["finetune"]})
    assert [row["shots"] for row in more.scores] == [1, 2]
    assert more.scores[0] == finished.scores[1]
    first, second = ((path / "checkpoints/finetune/best.safetensors").read_bytes() for path in (finished.path, tmp_path / "run"))
    assert first == second  # identical runs have identical files


def test_recipes_of_every_kind_are_the_same_recipe(glyph_folder: Path, tmp_path: Path) -> None:
    recipe = as_recipe(tiny(glyph_folder), seed=3)
    write_text(tmp_path / "recipe.yaml", recipe_to_yaml(recipe))
    kinds = (recipe, tmp_path / "recipe.yaml", str(tmp_path / "recipe.yaml"), tiny(glyph_folder, seed=3))
    assert all(as_recipe(kind) == recipe for kind in kinds)
    assert as_recipe(**tiny(glyph_folder, seed=3)) == recipe
    changed = as_recipe(recipe, **{"pretrain.optimizer.learning_rate": 0.5}, pretrain={"epochs": 7})
    assert (changed.pretrain.optimizer.learning_rate, changed.pretrain.epochs, changed.pretrain.batch_size) == (0.5, 7, 32)
    assert as_recipe() == s2m2.Recipe()
    assert default_path("configs/cub/cpu.yaml") == Path("runs", "cub-cpu")
    assert default_path() == Path("runs", "quick")


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        (None, {"pretrain": {"epoch": 2}}, "epoch"),
        (None, {"pretrain.epochs": "many"}, "pretrain.epochs"),
        (None, {"pretrain.epochs": 0}, "pretrain.epochs"),
        (None, {"nonsense": 1}, "nonsense"),
        (None, {"seed.more": 1}, "seed is a single setting"),
        ({"evaluate": {"ways": [1]}}, {}, "evaluate.ways"),
        ("no/such/file.yaml", {}, "no recipe file"),
        (None, {"data.path": "/no/such/folder"}, "no dataset /no/such/folder"),
        (None, {"finetune.validation.ways": 99}, "validation"),
    ],
)
def test_a_refused_call_is_an_exception_and_writes_nothing(
    glyph_folder: Path, tmp_path: Path, recipe: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(s2m2.InputError, match=message) as caught:
        s2m2.run(recipe, path=tmp_path / "run", **{"data.path": str(glyph_folder), "runtime.accelerator": "cpu", **settings})
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_fine_tuning_needs_a_pretrained_run(glyph_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(s2m2.InputError, match="has no finished pretraining"):
        s2m2.finetune(tiny(glyph_folder), tmp_path / "run")
    with pytest.raises(s2m2.InputError, match=r"finetune\.epochs is 0"):
        s2m2.finetune(tiny(glyph_folder, **{"finetune.epochs": 0, "evaluate.features": ["pretrain"]}), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


OWN_NETS = '''
import torch
from torch import nn


class Net(nn.Module):
    """An ordinary network: images to features."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_dim = 12
        self.conv = nn.Conv2d(3, 12, 3, stride=4)
        self.norm = nn.BatchNorm2d(12)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.conv(images))).mean(dim=(2, 3))


def build() -> nn.Module:
    return Net()
'''
OWN_HEADS = '''
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class MyHead(ClassifierMixin, BaseEstimator):
    """The nearest support image."""

    def fit(self, X, y):
        self.X_, self.y_, self.classes_ = np.asarray(X), np.asarray(y), np.unique(y)
        return self

    def predict_proba(self, X):
        distance = ((np.asarray(X)[:, None] - self.X_[None]) ** 2).sum(-1)
        nearest = np.stack([distance[:, self.y_ == c].min(1) for c in self.classes_], 1)
        weights = np.exp(-nearest + nearest.min(1, keepdims=True))
        return weights / weights.sum(1, keepdims=True)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(1)]
'''


@pytest.fixture
def my_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of a user's, on the path."""
    package = tmp_path / "path" / "my_own_package"
    package.mkdir(parents=True)
    for name, content in (("__init__.py", ""), ("nets.py", OWN_NETS), ("heads.py", OWN_HEADS)):
        (package / name).write_text(content)
    monkeypatch.syspath_prepend(package.parent)
    return package


def test_own_parts_are_used_by_name(my_package: Path, glyph_folder: Path, tmp_path: Path) -> None:
    recipe = tiny(glyph_folder, **{"model.width": None})
    run = s2m2.run(recipe, tmp_path / "run", backbone="my_own_package.nets:build", classifier="my_own_package.heads:MyHead")
    assert run.recipe.model.backbone == "my_own_package.nets:build"
    assert [row["features"] for row in run.scores] == ["pretrain", "finetune"]
    assert all(0 <= row["mean"] <= 1 for row in run.scores)
    features = s2m2.load(tmp_path / "run").features(np.zeros((2, 28, 28, 3), np.uint8))
    assert features.shape == (2, 12)
    with without_report():
        assert s2m2.evaluate_run(path=tmp_path / "run").scores == run.scores  # the recipe of the run still names them


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("backbone", "my_own_package.nets:nothing", "my_own_package.nets:nothing"),
        ("backbone", "no_such_package.nets:build", "no_such_package"),
        ("backbone", "resnet99", "resnet99"),
        ("classifier", "my_own_package.heads:nothing", "my_own_package.heads:nothing"),
        ("classifier", "nearest_meen", "nearest_meen"),
    ],
)
def test_parts_that_do_not_exist_are_named(
    my_package: Path, glyph_folder: Path, tmp_path: Path, part: str, value: str, message: str
) -> None:
    with pytest.raises(s2m2.InputError, match=message):
        s2m2.run(tiny(glyph_folder, **{"model.width": None, part: value}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_training_continues_in_ones_own_loop(finished: s2m2.Run) -> None:
    backbone = s2m2.load(finished.path).train()
    images = torch.rand(4, 3, 28, 28)
    backbone(images).sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())
