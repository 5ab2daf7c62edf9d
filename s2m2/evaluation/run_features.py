"""Features of the images of a run: cached, or extracted with the best weights of a training stage."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from s2m2.console import progress_bar
from s2m2.data.augment import evaluation_view, support_crop
from s2m2.data.catalog import ImageDatasets, load_dataset, query_indices
from s2m2.data.dataset import ImageDataset, LabeledImages, Split
from s2m2.data.standard_datasets import resolve_size
from s2m2.errors import InputError
from s2m2.evaluation.features import (
    FeatureSet,
    ImageTransform,
    concatenate,
    extract_features,
    extract_views,
    load_features,
    save_features,
    support_and_queries,
)
from s2m2.evaluation.preparation import base_is_needed
from s2m2.models import Backbone
from s2m2.recipe import DataConfig, EvaluateConfig, Recipe, read_recipe
from s2m2.recipe.evaluation import FeaturesName
from s2m2.runs.checkpoint import fingerprint_of, load_outcome
from s2m2.runs.directory import RunDirectory, require_run
from s2m2.runs.loading import evaluation_key, read_backbone
from s2m2.runs.trained_images import SHOWN, trained_digest

EXTRACTION_BATCH = 256
QUERIES = "queries"
"""Name of the images of a query dataset."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Network:
    """A backbone and its view of images; no backbone for raw pixels."""

    name: FeaturesName
    backbone: Backbone | None
    data: DataConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class RunFeatures:
    """Features of the images of a run."""

    recipe: Recipe
    run: RunDirectory
    datasets: ImageDatasets
    device: torch.device

    @property
    def config(self) -> EvaluateConfig:
        """Settings of the evaluation."""
        return self.recipe.evaluate

    def of_split(self, name: FeaturesName, split: Split | None = None) -> FeatureSet:
        """Features of a split, by default the evaluated one; of several networks where the evaluation has an ensemble.

        They come from the cache if weights, images and settings are unchanged.
        """
        split = split or self.config.split
        dataset = self.datasets.of(split)
        crops = self.config.support_crops if split in (self.config.split, "validation") else 0
        return self._features(name, dataset.labeled(split), [dataset.digest, split], crops)

    def of_tasks(self, name: FeaturesName) -> FeatureSet:
        """Features for the tasks of an evaluation: the evaluated split, with queries from the query dataset where there is one."""
        support = self.of_split(name)
        if self.datasets.queries is None:
            return support
        dataset, (indices, labels) = self.datasets.of(self.config.split), query_indices(self.datasets, self.config.split)
        images = LabeledImages(
            images=self.datasets.queries.image_tensor(),
            indices=torch.from_numpy(indices),
            labels=torch.from_numpy(labels),
            class_names=dataset.class_names,
        )
        which = hashlib.sha256(repr((dataset.class_names, indices.tobytes(), labels.tobytes())).encode()).hexdigest()
        queries = self._features(name, images, [self.datasets.queries.digest, QUERIES, which], crops=0)
        return support_and_queries(support, queries, len(dataset.images))

    def of_validation(self, name: FeaturesName) -> FeatureSet | None:
        """Features for the choice of temperatures and thresholds; None without validation classes apart from the evaluated ones."""
        if not self.config.details or self.config.split == "validation" or not self.datasets.validation.splits.get("validation", ()):
            return None
        return self.of_split(name, "validation")

    def of_base(self, name: FeaturesName) -> FeatureSet | None:
        """Features of the base classes; None where no transform or classifier needs them."""
        return self.of_split(name, "base") if base_is_needed(self.config) else None

    def _features(self, name: FeaturesName, images: LabeledImages, identity: list[str], crops: int) -> FeatureSet:
        """Features of one network or an ensemble; `identity` tells the images from others, its second text names the file."""
        if name == "pixels":
            return self._whole_images(_Network(name=name, backbone=None, data=self.recipe.data), images, identity)
        members = [(self.recipe, self.run)]
        for path in self.config.ensemble:
            other = read_recipe(RunDirectory(path).recipe)
            members.append((replace(other, data=resolve_size(other.data, self.datasets.base)), RunDirectory(path)))
        sets = []
        for recipe, run in members:
            network = _Network(name=name, backbone=read_backbone(recipe, run, name).to(self.device), data=recipe.data)
            features = self._whole_images(network, images, identity)
            sets.append(self._with_support_crops(network, images, identity, features, crops) if crops else features)
        return concatenate(sets) if len(sets) > 1 else sets[0]

    def _whole_images(self, network: _Network, images: LabeledImages, identity: list[str]) -> FeatureSet:
        view = partial(evaluation_view, config=network.data)
        extract = partial(extract_features, network.backbone if network.backbone is not None else nn.Flatten())  # the pixels themselves
        return self._cached(network, images, identity, "", partial(extract, images.images, images.indices, view))

    def _with_support_crops(
        self, network: _Network, images: LabeledImages, identity: list[str], features: FeatureSet, crops: int
    ) -> FeatureSet:
        """The same with means over random crops as support features."""
        seed, augment = self.config.seed, replace(network.data.augment, jitter=0.0)
        assert network.backbone is not None
        description = f"{crops} crops, seed {seed}, area {augment.scale}, ratio {augment.ratio}, flip {augment.flip}"
        data, size = replace(network.data, augment=augment), (len(images), *images.images.shape[1:3])
        proportions = None if images.proportions is None else images.proportions[images.indices]
        if proportions is not None:  # which the digest of the dataset leaves out
            description += f", proportions {hashlib.sha256(proportions.numpy().tobytes()).hexdigest()}"
        views: list[ImageTransform] = [support_crop(data, size, seed, number, proportions) for number in range(crops)]
        extract = partial(extract_views, network.backbone, images.images, images.indices, views)
        means = self._cached(network, images, identity, description, extract)
        return replace(features, support_features=means.features, fingerprint=means.fingerprint)

    def _cached(
        self, network: _Network, images: LabeledImages, identity: list[str], views: str, extract: Callable[..., Tensor]
    ) -> FeatureSet:
        """The features of a network in a view, from the cache or extracted and cached."""
        texts = [*identity, evaluation_key(network.data), *([views] if views else [])]
        fingerprint = fingerprint_of(network.backbone.state_dict() if network.backbone is not None else {}, *texts)
        path = self.run.features / f"{identity[1]}-{network.name}-{fingerprint[:16]}.safetensors"
        cached = load_features(path, fingerprint)
        if cached is not None:
            return cached
        with progress_bar(f"{'crops' if views else 'features'}, {network.name}", len(images), "images") as advance:
            values = extract(batch_size=EXTRACTION_BATCH, device=self.device, progress=advance)
        features = FeatureSet(
            features=values, labels=images.labels, indices=images.indices, class_names=images.class_names, fingerprint=fingerprint
        )
        save_features(path, features)
        return features


def features_label(name: FeaturesName, config: EvaluateConfig) -> str:
    """Name of the features in results: the stage, with the numbers of networks and support crops where there are several."""
    if name == "pixels":
        return name
    networks = f"-ensemble{len(config.ensemble) + 1}" if config.ensemble else ""
    return f"{name}{networks}{f'-crops{config.support_crops}' if config.support_crops else ''}"


def check_features(recipe: Recipe, datasets: ImageDatasets, run: RunDirectory) -> None:
    """Raise `InputError` if the evaluation needs features of an unfinished stage."""
    stages = [name for name in recipe.evaluate.features if name != "pixels"]
    if stages:
        require_run(run)
    for name in stages:
        if load_outcome(run.outcome(name)) is None:
            raise InputError(f"--evaluate.features has {name}, but --run {run.path} has not finished that stage")


def check_ensemble(recipe: Recipe, datasets: ImageDatasets, run: RunDirectory) -> None:
    """Raise `InputError` if another run cannot join the ensemble: it needs the stages, and the same images."""
    stages = [name for name in recipe.evaluate.features if name != "pixels"]
    for path in recipe.evaluate.ensemble:
        _check_member(path, stages, datasets.base, run)


def _check_member(path: Path, stages: Iterable[FeaturesName], dataset: ImageDataset, run: RunDirectory) -> None:
    # Trained on other images, it might have seen the novel classes.
    member = RunDirectory(path)
    if not member.recipe.is_file():
        raise InputError(f"--evaluate.ensemble has {path}, which is no run directory")
    if path.resolve() == run.path.resolve():
        raise InputError(f"--evaluate.ensemble has {path}, the run itself, which is part of its ensemble anyway")
    for name in stages:
        if load_outcome(member.outcome(name)) is None:
            raise InputError(f"--evaluate.ensemble has {path}, which has not finished the stage {name} of --evaluate.features")
    data, digest = read_recipe(member.recipe).data, trained_digest(member)
    # The recipe of an imported run names no images that it was trained on, and one of 0.1.0 may name them only.
    if digest is None and not member.imported.is_file():
        digest = load_dataset(data.path, data.download).digest
    if digest not in (None, dataset.digest):
        digests = f"digest {str(digest)[:SHOWN]}, not {dataset.digest[:SHOWN]}"
        raise InputError(f"--evaluate.ensemble has {path}, whose images, {data.path}, are not those of --run {run.path}: {digests}")
