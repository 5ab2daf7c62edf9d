"""Features of the images of a run: from its cache, or extracted by the best weights of a training stage."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from s2m2.commands.session import Session
from s2m2.console import progress_bar
from s2m2.data.augment import evaluation_view, support_crop
from s2m2.data.catalog import ImageDatasets, load_dataset, query_rows
from s2m2.data.dataset import ImageDataset, Split
from s2m2.data.sizes import settle_size
from s2m2.errors import InputError
from s2m2.evaluation.features import (
    FeatureSet,
    RowTransform,
    concatenate,
    extract_features,
    extract_views,
    fingerprint_of,
    load_features,
    pixel_features,
    save_features,
    support_and_queries,
)
from s2m2.evaluation.trained import seen_as, trained_backbone
from s2m2.models import Backbone
from s2m2.recipe import DataConfig, EvaluateConfig, Recipe, read_recipe
from s2m2.recipe.evaluation import FeaturesName
from s2m2.runs.checkpoint import load_outcome
from s2m2.runs.directory import RunDirectory

EXTRACTION_BATCH = 256
QUERIES = "queries"
"""Name of the images of a query dataset."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Source:
    """What gives features: a network, or nothing at all for raw pixels."""

    name: FeaturesName
    backbone: Backbone | None
    data: DataConfig
    """How it sees the images."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Place:
    """Which images features are made of."""

    name: str
    """Of the split, or `queries`."""
    dataset: ImageDataset
    rows: Int64[np.ndarray, " row"]
    labels: Int64[np.ndarray, " row"]
    """Class number of each row, an index of `names`."""
    names: tuple[str, ...]
    support: bool
    """Whether tasks take support images from them."""

    @property
    def named_by(self) -> tuple[str, ...]:
        """What else tells which rows are meant, where they are not those of a split."""
        if self.name != QUERIES:
            return ()
        return (hashlib.sha256(repr((self.names, self.rows.tobytes(), self.labels.tobytes())).encode()).hexdigest(),)


def check_features(recipe: Recipe, datasets: ImageDatasets, run: RunDirectory) -> None:
    """Raise `InputError` if the evaluation asks for features of a stage that is not finished."""
    for name in recipe.evaluate.features:
        if name != "pixels" and load_outcome(run.outcome(name)) is None:
            raise InputError(f"--evaluate.features has {name}, but --run {run.path} has not finished that stage")


def check_ensemble(recipe: Recipe, datasets: ImageDatasets, run: RunDirectory) -> None:
    """Raise `InputError` if another run of the ensemble cannot be joined: it has to have the stages, and the same images."""
    for path in recipe.evaluate.ensemble:
        _check_member(path, [name for name in recipe.evaluate.features if name != "pixels"], datasets.base, run)


def split_features(session: Session, name: FeaturesName, split: Split | None = None) -> FeatureSet:
    """Features of a split, the evaluated one by default; those of several networks where the evaluation has an ensemble.

    They come from the cache if weights, images and settings are those that it was made with.
    """
    split = split or session.recipe.evaluate.split
    dataset = session.datasets.of(split)
    rows = dataset.rows(split)
    drawn_from = split in (session.recipe.evaluate.split, "validation")
    return _features(
        session,
        name,
        _Place(name=split, dataset=dataset, rows=rows, labels=dataset.labels[rows], names=dataset.class_names, support=drawn_from),
    )


def _features(session: Session, name: FeaturesName, place: _Place) -> FeatureSet:
    config = session.recipe.evaluate
    if name == "pixels":
        return _plain_features(session, _Source(name=name, backbone=None, data=session.recipe.data), place)
    members = [(session.recipe, session.run)]
    for path in config.ensemble:
        other = read_recipe(RunDirectory(path).recipe)
        members.append((replace(other, data=settle_size(other.data, session.dataset)), RunDirectory(path)))
    datasets = []
    for recipe, run in members:
        backbone = trained_backbone(recipe, run, name).to(session.fabric.device)
        source = _Source(name=name, backbone=backbone, data=recipe.data)
        known = _plain_features(session, source, place)
        datasets.append(_with_support_crops(session, source, place, known) if config.support_crops and place.support else known)
    return concatenate(datasets) if len(datasets) > 1 else datasets[0]


def task_features(session: Session, name: FeaturesName) -> FeatureSet:
    """What tasks of an evaluation are drawn from: the evaluated split, with queries from the query dataset where there is one."""
    config, datasets = session.recipe.evaluate, session.datasets
    known = split_features(session, name)
    if datasets.queries is None:
        return known
    support, (rows, labels) = datasets.of(config.split), query_rows(datasets, config.split)
    place = _Place(name=QUERIES, dataset=datasets.queries, rows=rows, labels=labels, names=support.class_names, support=False)
    return support_and_queries(known, _features(session, name, place), len(support.images))


def features_label(name: FeaturesName, config: EvaluateConfig) -> str:
    """What results call the features: the stage, then how many networks and support crops, where there are several."""
    if name == "pixels":
        return name
    networks = f"-ensemble{len(config.ensemble) + 1}" if config.ensemble else ""
    return f"{name}{networks}{f'-crops{config.support_crops}' if config.support_crops else ''}"


def _plain_features(session: Session, source: _Source, place: _Place) -> FeatureSet:
    view, images = partial(evaluation_view, config=source.data), place.dataset.image_tensor()
    extract = partial(extract_features, source.backbone) if source.backbone is not None else pixel_features
    return _cached(session, source, place, "", lambda rows, **options: extract(images, rows, view, **options))


def _with_support_crops(session: Session, source: _Source, place: _Place, known: FeatureSet) -> FeatureSet:
    """The same with the mean features of random crops as what support images show."""
    config, augment = session.recipe.evaluate, replace(source.data.augment, jitter=0.0)
    assert source.backbone is not None
    crops = f"{config.support_crops} crops, seed {config.seed}, area {augment.scale}, ratio {augment.ratio}, flip {augment.flip}"
    data, images = replace(source.data, augment=augment), place.dataset.image_tensor()
    views: list[RowTransform] = [
        support_crop(data, (len(known.rows), *images.shape[1:3]), config.seed, number) for number in range(config.support_crops)
    ]
    made = _cached(session, source, place, crops, partial(extract_views, source.backbone, images, views=views))
    return replace(known, support_features=made.features, fingerprint=made.fingerprint)


def _cached(session: Session, source: _Source, place: _Place, views: str, extract: Callable[..., Tensor]) -> FeatureSet:
    """The features that a source gives in a view, from the cache where they are there, else extracted and kept."""
    data, rows, labels = source.data, torch.from_numpy(place.rows), torch.from_numpy(place.labels)
    seen = [
        place.dataset.digest,
        place.name,
        *place.named_by,
        seen_as(data),
        *([views] if views else []),
    ]
    fingerprint = fingerprint_of(source.backbone.state_dict() if source.backbone is not None else {}, *seen)
    path = session.run.features / f"{place.name}-{source.name}-{fingerprint[:16]}.safetensors"
    cached = load_features(path, fingerprint)
    if cached is not None:
        return cached
    with progress_bar(f"{'crops' if views else 'features'}, {source.name}", len(rows), "images") as advance:
        features = extract(rows=rows, batch_size=EXTRACTION_BATCH, device=session.fabric.device, progress=advance)
    made = FeatureSet(features=features, labels=labels, rows=rows, class_names=place.names, fingerprint=fingerprint)
    save_features(path, made)
    return made


def _check_member(path: Path, stages: list[FeaturesName], dataset: ImageDataset, run: RunDirectory) -> None:
    # On other images it might have been trained on what are novel classes here.
    member = RunDirectory(path)
    if not member.recipe.is_file():
        raise InputError(f"--evaluate.ensemble has {path}, which is no run directory")
    if path.resolve() == run.path.resolve():
        raise InputError(f"--evaluate.ensemble has {path}, the run itself, which is part of its ensemble anyway")
    for name in stages:
        if load_outcome(member.outcome(name)) is None:
            raise InputError(f"--evaluate.ensemble has {path}, which has not finished the stage {name} of --evaluate.features")
    data = read_recipe(member.recipe).data
    # What an imported run names in its recipe are no images that it has seen.
    if not member.imported.is_file() and load_dataset(data.path, data.download).digest != dataset.digest:
        raise InputError(f"--evaluate.ensemble has {path}, whose images, {data.path}, are not those of --run {run.path}")
