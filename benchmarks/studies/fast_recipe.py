"""What makes pretraining better at the same budget? One change at a time from a fast recipe, chosen on validation classes.

The budget is the number of images that pass through the network forward and backward. The best of many settings is too kind a score
for itself: that of the chosen recipe on novel classes is another measurement.
"""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from benchmarks.studies.arguments import parse
from benchmarks.studies.changes import Results, add_size, difference_table, draw_differences, sweep_subset
from benchmarks.studies.protocol import Findings, Trained, Trial, few_shot, run_trials, subset_dataset, train
from benchmarks.studies.reporting import write_report
from s2m2.recipe import AugmentConfig, DataConfig, ModelConfig, OptimizerConfig, PretrainConfig, Recipe, ValidationConfig
from s2m2.recipe.model import BackboneName

FAST = "fast"
ADAM = OptimizerConfig(name="adam", learning_rate=0.001, weight_decay=0.0, schedule="constant")
CHANGES: dict[str, dict[str, Any]] = {
    FAST: {},
    "all four rotations, a quarter of the epochs": {"rotations": "all", "shorter": 4},
    "Adam, constant rate (S2M2)": {"optimizer": ADAM},
    "cosine schedule, no rise": {"optimizer": OptimizerConfig(schedule="cosine")},
    "half the learning rate": {"optimizer": OptimizerConfig(learning_rate=0.05)},
    "moving average of weights": {"ema_decay": 0.99},
    "re-estimated statistics": {"bn_recalibration_images": 2048},
    "both": {"ema_decay": 0.99, "bn_recalibration_images": 2048},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "crops from 0.08 (S2M2)": {"crop": 0.08},
    "crops from 0.5": {"crop": 0.5},
    "no rotation task": {"objective": "supervised"},
    "half the weight of rotation": {"self_supervision_weight": 0.5},
    "logits five times as large": {"scale": 10.0},
    "batches of 32": {"batch_size": 32},
    "batches of 128, twice the learning rate": {"batch_size": 128, "optimizer": OptimizerConfig(learning_rate=0.2)},
    "twice the weight decay": {"optimizer": OptimizerConfig(weight_decay=1e-3)},
    "no color jitter": {"jitter": 0.0},
    "twice the color jitter": {"jitter": 0.8},
}
"""Settings of stage 1 that differ from the fast recipe's; crop is the least area of the random crop, shorter divides the epochs, scale
multiplies the cosines of the class head, jitter is how far brightness, contrast and saturation go."""
BACKBONES: dict[BackboneName, str] = {"conv4": "Conv-4", "resnet12": "ResNet-12"}


def add_arguments(parser: ArgumentParser) -> None:
    """Which network, how long, and which changes; other backbones have a report and a figure of their own."""
    parser.add_argument("--backbone", choices=BACKBONES, default="conv4")
    add_size(parser, width=16, base_images=64)
    parser.add_argument("--epochs", type=_epochs, default=12, help="a multiple of 4, as four rotations an image take a quarter of them")
    parser.add_argument("--changes", nargs="+", choices=CHANGES, default=list(CHANGES), metavar="CHANGE", help="which to try beside fast")


def _epochs(text: str) -> int:
    number = int(text)
    if number <= 0 or number % 4:
        raise ArgumentTypeError(f"{text} is not a positive multiple of 4")
    return number


def name_of(options: Namespace) -> str:
    """Of the report and the figure, so that none takes the place of that of another network."""
    default = options.backbone == "conv4" and options.width == 16
    return "fast_recipe" if default else f"fast_recipe_{options.backbone}_{options.width}"


def changes_of(options: Namespace) -> list[str]:
    """The fast recipe and the changes asked for, in their order above."""
    return [name for name in CHANGES if name == FAST or name in options.changes]


def trials(options: Namespace) -> list[Trial]:
    """Every change with every seed."""
    quick = options.quick
    subset = sweep_subset(options)

    def recipe(seed: int, changes: dict[str, Any]) -> Recipe:
        settings = dict(changes)
        crop = settings.pop("crop", 0.2)
        shorter, scale, jitter = settings.pop("shorter", 1), settings.pop("scale", 2.0), settings.pop("jitter", AugmentConfig().jitter)
        epochs = 1 if quick else options.longer * options.epochs // shorter
        if quick:
            settings = {name: min(value, 32) if name.endswith(("_images", "_size")) else value for name, value in settings.items()}
        last = ValidationConfig(every=10_000)
        pretrain = PretrainConfig(**{"epochs": epochs, "batch_size": 32 if quick else 64, "validation": last, **settings})
        data = DataConfig(augment=AugmentConfig(scale=(crop, 1.0), flip=0.5, jitter=jitter))
        model = ModelConfig(backbone=options.backbone, width=4 if quick else options.width, scale=scale)
        return Recipe(seed=seed, data=data, model=model, pretrain=pretrain)

    return [
        Trial(setting=name, recipe=recipe(seed, changes), subset=subset, tasks=20 if quick else 1000)
        for seed in range(options.seeds)
        for name in changes_of(options)
        for changes in [CHANGES[name]]
    ]


def measure(trial: Trial) -> Findings:
    """One training; the weights that it would keep, scored on validation classes."""
    findings: Findings = {}

    def score(trained: Trained) -> None:
        findings.update(few_shot(replace(trained, dataset=subset_dataset(trial.subset, "validation")), "validation"))

    train(trial, score)
    return findings


def report(results: Results, options: Namespace, plan: Sequence[Trial]) -> list[str]:
    """The table."""
    subset, recipe = plan[0].subset, plan[0].recipe
    return [
        f"Stage 1 alone: {BACKBONES[options.backbone]} with {recipe.model.width} channels, {subset.base_classes} base classes with "
        f"{subset.base_images} images each, {recipe.pretrain.epochs} epochs of batches of {recipe.pretrain.batch_size}. "
        "The fast recipe: one random rotation an image, SGD with Nesterov momentum and one cycle up to a learning rate of 0.1, weight "
        "decay 0.0005, crops of 0.2 to 1 of the area. "
        f"5-way, nearest class mean by cosine, {plan[0].tasks} tasks of validation classes, the same for all trials.",
        "",
        "Percent on validation classes, and differences to the fast recipe in points, on the same seeds and tasks.",
        "",
        *difference_table(results, FAST, changes_of(options), options.seeds),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, draw and write the report."""
    options = parse(__doc__, argv, seeds=3, more=add_arguments)
    torch.set_num_threads(1)
    plan = trials(options)
    measured = run_trials("fast_recipe", plan, measure, options)
    results = {(trial.setting, trial.recipe.seed): one for trial, one in zip(plan, measured, strict=True)}
    image = draw_differences(results, FAST, changes_of(options), options, f"{name_of(options)}.png")
    write_report(
        options,
        name_of(options),
        "What makes pretraining better",
        [image],
        report(results, options, plan),
        [one["seconds"] for one in measured],
        script="fast_recipe",
    )


if __name__ == "__main__":
    main()
