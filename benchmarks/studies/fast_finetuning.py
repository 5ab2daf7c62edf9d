"""What makes fine-tuning better? One change at a time from the second stage of a fast recipe, chosen on validation classes.

All settings of a seed begin with the same weights, the end of its stage 1, but for one that spends the images of stage 2 on a longer
stage 1. The network and stage 1 are those of the sweep of pretraining (`fast_recipe.py`) with ResNet-12.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from benchmarks.studies.arguments import parse
from benchmarks.studies.changes import Results, add_size, difference_table, draw_differences, sweep_subset
from benchmarks.studies.protocol import Findings, Trial, few_shot, run_trials, subset_dataset, train
from benchmarks.studies.reporting import write_report
from s2m2.recipe import AugmentConfig, DataConfig, FinetuneConfig, ModelConfig, OptimizerConfig, PretrainConfig, Recipe, ValidationConfig
from s2m2.recipe.training import MixConfig

FAST, START, LONGER = "fast", "no second stage", "the same images in a longer first stage"
CHANGES: dict[str, dict[str, Any]] = {
    FAST: {},
    "nothing mixed": {"mix": MixConfig(alpha=0.0)},
    "alpha 1": {"mix": MixConfig(alpha=1.0)},
    "alpha 0.2": {"mix": MixConfig(alpha=0.2)},
    "a weight for each image": {"mix": MixConfig(per_sample=True)},
    "input alone mixed": {"mix": MixConfig(stages=(0,))},
    "all but the input mixed": {"mix": MixConfig(stages=(1, 2, 3))},
    "features alone mixed": {"mix": MixConfig(stages=(-1,))},
    "a quarter of the learning rate": {"optimizer": OptimizerConfig(learning_rate=0.005, schedule="cosine")},
    "two and a half times the learning rate": {"optimizer": OptimizerConfig(learning_rate=0.05, schedule="cosine")},
    "five times the learning rate": {"optimizer": OptimizerConfig(learning_rate=0.1, schedule="cosine")},
    "Adam, constant rate (S2M2)": {"optimizer": OptimizerConfig(name="adam", learning_rate=0.001, weight_decay=0.0, schedule="constant")},
    "losses of stage 1 left out": {"auxiliary_weight": 0.0},
    "re-estimated statistics": {"bn_recalibration_images": 2048},
}
"""Settings of stage 2 that differ from the fast recipe's. A further one has no second stage: it is where all of these begin."""


def add_arguments(parser: ArgumentParser) -> None:
    """How large the network and its training set are."""
    add_size(parser, width=8, base_images=150)


def passes(config: FinetuneConfig) -> float:
    """Images through the network in stage 2, for each image of the training set: the mixed batch and the part of it beside."""
    return config.epochs * (1 + 1 / config.auxiliary_stride)


def recipe_of(options: Namespace, seed: int, changes: dict[str, Any]) -> Recipe:
    """The fast recipe of a ResNet-12, but for some settings of stage 2."""
    quick, last = options.quick, ValidationConfig(every=10_000)
    batch = 32 if quick else 64
    if quick:
        changes = {name: batch if name == "bn_recalibration_images" else value for name, value in changes.items()}
    return Recipe(
        seed=seed,
        data=DataConfig(augment=AugmentConfig(scale=(0.2, 1.0), flip=0.5)),
        model=ModelConfig(backbone="resnet12", width=4 if quick else options.width, scale=10.0),
        pretrain=PretrainConfig(epochs=1 if quick else 8 * options.longer, batch_size=batch, validation=last),
        finetune=FinetuneConfig(epochs=1 if quick else 4 * options.longer, batch_size=batch, patience=0, validation=last, **changes),
    )


def trials(options: Namespace) -> list[Trial]:
    """The end of stage 1 with every seed, then every change with every seed, then the longer stage 1."""
    quick = options.quick
    subset = sweep_subset(options)
    tasks, seeds, folder = 20 if quick else 1000, range(options.seeds), options.work / "fast_finetuning"
    starts = [Trial(setting=START, recipe=recipe_of(options, seed, {}), subset=subset, tasks=tasks) for seed in seeds]
    starts = [replace(start, first_stage=str(folder / "stage 1" / start.file.removesuffix(".json"))) for start in starts]
    changed = [
        replace(starts[seed], setting=name, recipe=recipe_of(options, seed, changes), finetune=True)
        for name, changes in CHANGES.items()
        for seed in seeds
    ]
    return [
        *starts,
        *changed,
        *(replace(start, setting=LONGER, recipe=longer_first_stage(start.recipe), first_stage="") for start in starts),
    ]


def longer_first_stage(recipe: Recipe) -> Recipe:
    """The recipe with the images of stage 2 in stage 1, to the nearest epoch."""
    epochs = recipe.pretrain.epochs + round(passes(recipe.finetune))
    return replace(recipe, pretrain=replace(recipe.pretrain, epochs=epochs))


def measure(trial: Trial) -> Findings:
    """One training to its last epoch, scored on validation classes."""
    trained = train(trial)
    return few_shot(replace(trained, dataset=subset_dataset(trial.subset, "validation")), "validation")


def report(results: Results, options: Namespace, plan: Sequence[Trial]) -> list[str]:
    """The table."""
    subset, recipe = plan[0].subset, plan[0].recipe
    first, second = recipe.pretrain, recipe.finetune
    return [
        f"ResNet-12 with {recipe.model.width} channels, {subset.base_classes} base classes with {subset.base_images} images each, "
        f"batches of {first.batch_size}. Stage 1: {first.epochs} epochs of the fast recipe (rotation, one rotation an image, logits of ten "
        f"times the cosine). Stage 2, fast: {second.epochs} epochs of manifold mixup before every stage, alpha {second.mix.alpha:g}, one "
        f"weight a batch, SGD with a learning rate of {second.optimizer.learning_rate:g} that falls as a cosine, the losses of stage 1 on "
        f"a quarter of the batch with weight {second.auxiliary_weight:g}; {passes(second):g} passes over the images, as many as "
        f"{passes(second):g} epochs of stage 1. 5-way, nearest class mean by cosine, {plan[0].tasks} tasks of validation classes, the same "
        "for all trials.",
        "",
        "Percent on validation classes, and differences to the fast recipe in points, on the same seeds and tasks. Processor seconds of "
        f"what follows stage 1, but for `{START}` and `{LONGER}`.",
        "",
        *difference_table(results, FAST, names(), options.seeds),
    ]


def names() -> list[str]:
    """All settings, the fast one first."""
    return [*CHANGES, START, LONGER]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, draw and write the report."""
    options = parse(__doc__, argv, seeds=3, more=add_arguments)
    torch.set_num_threads(1)
    plan = trials(options)
    # The first stages before anything that begins with their end, as two processes must not train the same one.
    run_trials("fast_finetuning", plan[: options.seeds], measure, options)
    measured = run_trials("fast_finetuning", plan, measure, options)
    results = {(trial.setting, trial.recipe.seed): one for trial, one in zip(plan, measured, strict=True)}
    image = draw_differences(results, FAST, names(), options, "fast_finetuning.png")
    seconds = [one["seconds"] for one in measured]
    write_report(options, "fast_finetuning", "What makes fine-tuning better", [image], report(results, options, plan), seconds)


if __name__ == "__main__":
    main()
