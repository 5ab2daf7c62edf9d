"""The two training stages of a run, put together."""

from dataclasses import asdict

from lightning_fabric import Fabric
from torch import nn

from s2m2.commands.evaluation import check_validation, validator
from s2m2.commands.session import Session, alone
from s2m2.console import console
from s2m2.data.base_classes import split_base
from s2m2.data.batches import steps_per_epoch
from s2m2.data.catalog import ImageDatasets
from s2m2.data.dataset import ImageDataset
from s2m2.errors import InputError
from s2m2.models import Backbone, build_backbone, initialize
from s2m2.recipe import Recipe, TrainingConfig
from s2m2.recipe.mixing import MixConfig
from s2m2.runs.checkpoint import Outcome, load_best, load_outcome
from s2m2.runs.directory import RunDirectory
from s2m2.runs.provenance import hardware_of, record
from s2m2.runs.sinks import check_loggers
from s2m2.seeding import generator_for
from s2m2.training.batch_norm import check_shareable
from s2m2.training.build import Pretraining, check_mix_stages, finetune_objective, pretrain_objective
from s2m2.training.collectives import gather_images
from s2m2.training.compiling import compile_networks
from s2m2.training.loop import train_stage
from s2m2.training.stage import StageSettings, TrainingImages


def check_pretraining(recipe: Recipe, datasets: ImageDatasets, run: RunDirectory) -> None:
    """Raise `InputError` if stage 1 could not train, validate or log."""
    check_loggers(recipe.runtime.loggers)
    share = _check_batches(recipe, recipe.pretrain, datasets.base)
    _check_images("pretrain.mix", recipe.pretrain.mix, share)
    check_validation(recipe.pretrain, datasets.validation)
    backbone = build_backbone(recipe.model, recipe.data.size)
    check_mix_stages("pretrain.mix", recipe.pretrain.mix, backbone)
    if recipe.runtime.devices * recipe.runtime.nodes > 1:
        check_shareable(backbone)


def check_finetuning(recipe: Recipe, datasets: ImageDatasets, run: RunDirectory) -> None:
    """Raise `InputError` if stage 2 could not train, validate or log."""
    check_loggers(recipe.runtime.loggers)
    config = recipe.finetune
    if config.epochs == 0:
        return
    share = _check_batches(recipe, config, datasets.base)
    _check_images("finetune.mix", config.mix, share)
    processes = recipe.runtime.devices * recipe.runtime.nodes
    if processes > 1 and share % config.auxiliary_stride:
        raise InputError(
            f"--finetune.auxiliary_stride is {config.auxiliary_stride}, which does not divide the {share} images of a step on each device"
        )
    if recipe.pretrain.objective == "exemplar" and config.batch_size <= config.auxiliary_stride:
        raise InputError(
            f"--finetune.batch_size is {config.batch_size} and every {config.auxiliary_stride}th image is compared; exemplar needs two"
        )
    check_validation(config, datasets.validation)
    check_mix_stages("finetune.mix", config.mix, build_backbone(recipe.model, recipe.data.size))


def check_pretrained(recipe: Recipe, datasets: ImageDatasets, run: RunDirectory) -> None:
    """Raise `InputError` if stage 1 is not finished."""
    if load_outcome(run.outcome("pretrain")) is None:
        raise InputError(f"--run {run.path} has no finished pretraining to fine-tune; `s2m2 pretrain` does it")


def _check_batches(recipe: Recipe, config: TrainingConfig, dataset: ImageDataset) -> int:
    """Raise `InputError` if the batches of a stage cannot be made or shared; returns the images of a step on each device."""
    steps_per_epoch(len(split_base(dataset, recipe.data, recipe.seed).rows), config.batch_size)
    processes = recipe.runtime.devices * recipe.runtime.nodes
    if config.batch_size % processes:
        raise InputError(f"--{config.stage}.batch_size is {config.batch_size}, which {processes} devices cannot share equally")
    return config.batch_size // processes


def _check_images(at: str, config: MixConfig, share: int) -> None:
    """Raise `InputError` if a device has too few images of a step to mix so many of them with each other."""
    if config.num_images > max(share, 2):
        raise InputError(f"--{at}.images is {config.num_images}, but a step has {share} images on each device")


def pretrain_stage(session: Session) -> Outcome:
    """Stage 1 from random weights."""
    backbone, objective = fresh_networks(session.recipe, session.dataset, session.fabric)
    return _train(session, session.recipe.pretrain, backbone, objective)


def finetune_stage(session: Session) -> Outcome:
    """Stage 2 from the best weights of stage 1, whose heads it keeps."""
    backbone, objective = fresh_networks(session.recipe, session.dataset, session.fabric)
    load_best(session.run.best("pretrain"), backbone, objective)
    return _train(session, session.recipe.finetune, backbone, finetune_objective(session.recipe, objective))


def fresh_networks(recipe: Recipe, dataset: ImageDataset, fabric: Fabric) -> tuple[Backbone, Pretraining]:
    """Backbone and objective of stage 1 with their initial weights, on the CPU."""
    backbone = build_backbone(recipe.model, recipe.data.size, generator_for(recipe.seed, "backbone"))
    gather = gather_images if fabric.world_size > 1 else None
    objective = pretrain_objective(recipe, backbone.feature_dim, len(dataset.splits["base"]), gather)
    initialize(objective, generator_for(recipe.seed, "heads"))
    return backbone, objective


def _train(session: Session, config: TrainingConfig, backbone: Backbone, objective: nn.Module) -> Outcome:
    done = load_outcome(session.run.outcome(config.stage))
    if done is not None:
        if session.fabric.is_global_zero and done.imported:
            console.print(f"{config.stage}: imported from {done.imported}")
        elif session.fabric.is_global_zero:
            console.print(f"{config.stage}: finished before, after {done.epochs} epochs (best validation {done.best_score:.2%})")
        return done
    recipe, runtime = session.recipe, session.recipe.runtime
    compile_where_asked(recipe, session.fabric, backbone, objective)
    settings, images = StageSettings.of(recipe, config), base_images(recipe, session.dataset)
    validate = validator(recipe, session.datasets.validation, config.validation, session.fabric)
    hardware = hardware_of(session.fabric.device, session.fabric.world_size)
    with alone(session.fabric, session.run):
        if session.fabric.is_global_zero:
            words = f"{config.stage}: {len(images.rows):,} images, on {hardware}, {runtime.precision}"
            console.print(words, markup=False, soft_wrap=True)
        outcome = train_stage(session.fabric, session.run, backbone, objective, images, settings, validate)
    if session.fabric.is_global_zero:
        record(session.run, **{config.stage: {**asdict(outcome), "hardware": hardware}, "runtime": asdict(runtime)})
        if outcome.best_epoch == 0:
            console.print(f"{config.stage}: no epoch beat the weights that it started from, so these are kept")
        reason = f"stopped early after {outcome.epochs} epochs" if outcome.stopped_early else f"{outcome.epochs} epochs"
        console.print(
            f"{config.stage}: {reason}, best validation {outcome.best_score:.2%} after epoch {outcome.best_epoch}, {outcome.seconds:.0f} s"
        )
    return outcome


def compile_where_asked(recipe: Recipe, fabric: Fabric, backbone: Backbone, objective: nn.Module) -> None:
    """Compile the networks if the recipe says so; on several devices a warning says that it is left out."""
    if recipe.runtime.compile and fabric.world_size == 1:
        compile_networks(backbone, objective)
    elif recipe.runtime.compile and fabric.is_global_zero:
        words = "warning: --runtime.compile is left out, as statistics shared by several devices cannot be compiled"
        console.print(words, markup=False, soft_wrap=True)


def base_images(recipe: Recipe, dataset: ImageDataset) -> TrainingImages:
    """What both stages are trained on."""
    base = split_base(dataset, recipe.data, recipe.seed)
    return TrainingImages(images=dataset.image_tensor(), rows=base.rows, labels=base.labels)
