"""Features of a run: cached, of augmented shots, and of ensembles of runs on the same images."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from s2m2.data.augment import apply_augmentation, evaluation_view, normalize, sample_augmentation
from s2m2.data.dataset import open_dataset
from s2m2.data.glyphs import glyph_dataset
from s2m2.errors import InputError
from s2m2.evaluation.run_features import check_ensemble, features_label
from s2m2.models import Backbone
from s2m2.pipeline import open_session, run_features
from s2m2.random import generator_for
from s2m2.recipe import AugmentConfig, DataConfig, EvaluateConfig, ModelConfig, Recipe, RuntimeConfig
from s2m2.runs.checkpoint import Outcome, save_outcome, save_tensors
from s2m2.runs.directory import RunDirectory
from s2m2.runs.session import Session
from tests.models.tiny import tiny_backbone

CROPS = 3
Finished = Callable[..., Session]


@pytest.fixture
def finished(glyph_folder: Path, tmp_path: Path) -> Finished:
    """Makes a run whose fine-tuning is done, with random weights."""

    def make(name: str, weights: int = 0, dataset: Path = glyph_folder, **evaluate: object) -> Session:
        config = EvaluateConfig(features=("finetune",), **evaluate)  # type: ignore[arg-type]
        data = DataConfig(path=str(dataset), image_size=28, augment=AugmentConfig(flip=0.5))
        recipe = replace(Recipe(), data=data, model=ModelConfig(width=4), evaluate=config, runtime=RuntimeConfig(accelerator="cpu"))
        run = RunDirectory(tmp_path / name)
        session = open_session(recipe, run.path)
        state = tiny_backbone("conv4", seed=weights).state_dict()
        save_tensors(run.best("finetune"), {f"backbone.{key}": value for key, value in state.items()}, {})
        save_outcome(run.outcome("finetune"), Outcome(epochs=1, best_epoch=1, best_score=0.5))
        return session

    return make


def network(seed: int = 0) -> Backbone:
    return tiny_backbone("conv4", seed=seed).eval()


def expected(session: Session, seed: int = 0) -> torch.Tensor:
    """Features of all novel images at once."""
    images = session.dataset.image_tensor()[torch.from_numpy(session.dataset.indices("novel"))]
    return network(seed)(evaluation_view(images, session.recipe.data)).detach()


def test_features_are_those_of_the_best_weights_and_are_cached(finished: Finished) -> None:
    session = finished("one")
    features = run_features(session).of_split("finetune")
    torch.testing.assert_close(features.features, expected(session))
    (cached,) = session.run.features.iterdir()
    made = cached.stat().st_mtime_ns
    assert torch.equal(run_features(session).of_split("finetune").features, features.features)
    assert cached.stat().st_mtime_ns == made
    assert features.support_features is None


def test_another_split_can_be_chosen(finished: Finished) -> None:
    session = finished("one")
    features = run_features(session).of_split("finetune", "validation")
    assert features.indices.tolist() == session.dataset.indices("validation").tolist()


def test_support_features_are_the_mean_of_crops_that_follow_from_the_seed(finished: Finished) -> None:
    session = finished("one", support_crops=CROPS, seed=3)
    features = run_features(session).of_split("finetune")
    torch.testing.assert_close(features.features, expected(session))
    assert features.support_features is not None
    data, indices = session.recipe.data, torch.from_numpy(session.dataset.indices("novel"))
    images = session.dataset.image_tensor()[indices]
    total = torch.zeros_like(features.features)
    for number in range(CROPS):
        still = replace(data.augment, jitter=0.0)
        augmentation = sample_augmentation(still, *images.shape[1:3], len(indices), generator_for(3, "support crops", number))
        total += network()(normalize(apply_augmentation(images, augmentation, data.image_size), data)).detach()
    torch.testing.assert_close(features.support_features, total / CROPS)


def test_the_number_and_the_seed_of_crops_shape_the_fingerprint(finished: Finished) -> None:
    session = finished("one")
    settings = [{}, {"support_crops": 1}, {"support_crops": 2}, {"support_crops": 2, "seed": 1}]
    fingerprints = set()
    for changes in settings:
        changed = replace(session.recipe, evaluate=replace(session.recipe.evaluate, **changes))
        fingerprints.add(run_features(replace(session, recipe=changed)).of_split("finetune").fingerprint)
    assert len(fingerprints) == len(settings)


def test_an_ensemble_concatenates_the_features_of_its_runs(finished: Finished, tmp_path: Path) -> None:
    finished("other", weights=1)
    session = finished("one", ensemble=(tmp_path / "other",))
    check_ensemble(session.recipe, session.datasets, session.run)
    ensemble = run_features(session).of_split("finetune").features
    parts = [F.normalize(expected(session, seed), dim=1) for seed in (0, 1)]
    torch.testing.assert_close(ensemble, torch.cat(parts, dim=1))
    assert not (tmp_path / "other" / "features").exists()


def test_pixels_have_neither_crops_nor_an_ensemble(finished: Finished, tmp_path: Path) -> None:
    finished("other", weights=1)
    session = finished("one", ensemble=(tmp_path / "other",), support_crops=2)
    features = run_features(session).of_split("pixels")
    assert features.features.shape[1] == 3 * 28 * 28
    assert features.support_features is None


def test_labels_of_features_state_networks_and_crops() -> None:
    plain = EvaluateConfig()
    several = EvaluateConfig(ensemble=(Path("a"), Path("b")), support_crops=10)
    assert [features_label("finetune", config) for config in (plain, several)] == ["finetune", "finetune-ensemble3-crops10"]
    assert features_label("pixels", several) == "pixels"


def test_an_unusable_member_of_an_ensemble_is_named(finished: Finished, tmp_path: Path) -> None:
    session = finished("one")
    check = partial(_check, session)
    with pytest.raises(InputError, match="no run directory"):
        check(tmp_path / "none")
    with pytest.raises(InputError, match="the run itself"):
        check(session.run.path)
    finished("unfinished").run.outcome("finetune").unlink()
    with pytest.raises(InputError, match="has not finished the stage finetune"):
        check(tmp_path / "unfinished")
    cache = tmp_path / "glyphs"
    glyph_dataset(cache, classes=30, images_per_class=3)
    folder = next(folder for folder in cache.iterdir() if not folder.name.startswith("."))
    assert open_dataset(folder).digest != session.dataset.digest
    finished("elsewhere", dataset=folder)
    with pytest.raises(InputError, match="are not those of --run"):
        check(tmp_path / "elsewhere")


def _check(session: Session, path: Path) -> None:
    recipe = replace(session.recipe, evaluate=replace(session.recipe.evaluate, ensemble=(path,)))
    check_ensemble(recipe, session.datasets, session.run)
