"""Does mixing help few-shot learning? Seven ways of training with the same budget, on the same few-shot tasks.

The budget is the number of images that pass through the network forward and backward: an image in four views, as exemplar
training takes it, counts four times, and stage 2 counts both the mixed batch and the part of it beside.
"""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from benchmarks.studies.arguments import parse
from benchmarks.studies.protocol import Findings, Subset, Trial, few_shot, held_out_quality, run_trials, train
from benchmarks.studies.reporting import COLORS, Mean, figure, over_seeds, save_figure, table_lines, write_report
from s2m2.recipe import AugmentConfig, DataConfig, FinetuneConfig, ModelConfig, PretrainConfig, Recipe, ValidationConfig
from s2m2.recipe.training import MixConfig, ObjectiveName


@dataclass(frozen=True, kw_only=True)
class Method:
    """How the budget, in passes over the images, is spent."""

    objective: ObjectiveName
    mix: MixConfig | None = None
    """Of stage 1."""
    epochs: int
    """Of stage 1."""
    mixed_epochs: int = 0
    """Of stage 2, manifold mixup with the objective of stage 1 beside it."""

    def passes(self, stride: int) -> float:
        """Images through the network for each image of the training set."""
        views = 4 if self.objective == "exemplar" else 1
        return self.epochs * views + self.mixed_epochs * (1 + views / stride)


MIXED = "rotation + manifold mixup (S2M2)"
METHODS = {
    "supervised": Method(objective="supervised", epochs=12),
    "input mixup": Method(objective="mixup", mix=MixConfig(stages=(0,), alpha=1.0), epochs=12),
    "manifold mixup": Method(objective="mixup", mix=MixConfig(alpha=2.0), epochs=12),
    "rotation": Method(objective="rotation", epochs=12),
    "supervised + manifold mixup": Method(objective="supervised", epochs=7, mixed_epochs=4),
    MIXED: Method(objective="rotation", epochs=7, mixed_epochs=4),
    "exemplar + manifold mixup": Method(objective="exemplar", epochs=2, mixed_epochs=2),
}
"""All of 12 passes, or a multiple of it (`--longer`). A + is stage 1, then stage 2."""
PAIRS = (
    ("input mixup", "supervised"),
    ("manifold mixup", "supervised"),
    ("manifold mixup", "input mixup"),
    ("rotation", "supervised"),
    ("supervised + manifold mixup", "supervised"),
    (MIXED, "supervised"),
    (MIXED, "rotation"),
    (MIXED, "supervised + manifold mixup"),
    ("exemplar + manifold mixup", "supervised"),
)
"""The differences that are reported."""


def trials(options: Namespace) -> list[Trial]:
    """Every method with every seed."""
    quick, longer = options.quick, options.longer
    subset = Subset(
        dataset=options.dataset,
        digest=options.digest,
        base_classes=8 if quick else 64,
        base_images=8 if quick else 45,
        novel_images=8 if quick else 100,
    )

    def recipe(seed: int, method: Method) -> Recipe:
        last = ValidationConfig(every=100)
        batch = 32 if quick else 64
        mixing = {"mix": method.mix} if method.mix else {}
        return Recipe(
            seed=seed,
            data=DataConfig(augment=AugmentConfig(flip=0.5), holdout_fraction=1 / 3 if not quick else 0.5),
            model=ModelConfig(width=4 if quick else 16),
            pretrain=PretrainConfig(
                objective=method.objective, epochs=1 if quick else longer * method.epochs, batch_size=batch, validation=last, **mixing
            ),
            finetune=FinetuneConfig(
                epochs=1 if quick else max(longer * method.mixed_epochs, 1), batch_size=batch, patience=0, validation=last
            ),
        )

    return [
        Trial(setting=name, recipe=recipe(seed, method), subset=subset, tasks=20 if quick else 1000, finetune=method.mixed_epochs > 0)
        for seed in range(options.seeds)
        for name, method in METHODS.items()
    ]


def measure(trial: Trial) -> Findings:
    """One training, with or without stage 2."""
    trained = train(trial)
    return {**few_shot(trained), **held_out_quality(trained)}


Results = dict[tuple[str, int], Findings]


def difference(results: Results, first: str, second: str, what: str, seeds: int) -> Mean:
    """The first less the second, seed by seed, on the same tasks."""
    return over_seeds([results[first, seed][what] - results[second, seed][what] for seed in range(seeds)])


def gains(results: Results, name: str, what: str, seeds: int) -> list[float]:
    """What a method adds to plain supervised training, seed by seed, in points."""
    return [100 * (results[name, seed][what] - results["supervised", seed][what]) for seed in range(seeds)]


def span(results: Results, what: str, seeds: int) -> tuple[float, float]:
    """The ends of an axis, in points, with room for every method but exemplar training, whose seeds may lie far apart."""
    ends = [0.0]
    for name in METHODS:
        if not name.startswith("exemplar"):
            each = gains(results, name, what, seeds)
            one = over_seeds(each)
            ends += [one.mean - one.half, one.mean + one.half, *each]
    margin = 0.05 * (max(ends) - min(ends)) or 1.0
    return min(ends) - margin, max(ends) + margin


def draw(results: Results, options: Namespace) -> str:
    """What every method adds to plain supervised training; what the axis has no room for stands there in numbers."""
    others = [name for name in METHODS if name != "supervised"]
    with figure(1, 2, width=8.4, height=2.7, sharey=True) as (drawing, axes):
        for panel, what in zip(axes, ("1-shot", "5-shot"), strict=True):
            low, high = span(results, what, options.seeds)
            for position, name in enumerate(others):
                each = gains(results, name, what, options.seeds)
                one = over_seeds(each)
                if one.mean - one.half < low or one.mean + one.half > high:
                    words, across = f"off the axis: {one.text(1, 2, signed=True)}", panel.get_yaxis_transform()
                    panel.text(0.02, position, words, transform=across, va="center", fontsize=8, backgroundcolor="white")
                    continue
                panel.scatter(each, [position + 0.22] * len(each), s=9, color="#8b93a0", zorder=3, label=None if position else "one seed")
                panel.errorbar(one.mean, position, xerr=one.half, fmt="o", markersize=5, color=COLORS[1 + ("+" in name)])
            panel.set_xlim(low, high)
            panel.axvline(0, color="#6b7280", linewidth=0.8)
            panel.set_title(f"5-way {what}, points more than supervised")
            panel.set_yticks(range(len(others)), others)
            panel.grid(visible=True, axis="x")
        axes[0].set_ylim(len(others) - 0.5, -0.5)
        axes[0].legend(loc="center left", bbox_to_anchor=(0, 0.6), fontsize=7)
        return save_figure(drawing, options, "few_shot.png")


def report(results: Results, options: Namespace, plan: Sequence[Trial]) -> list[str]:
    """The tables."""
    seeds, subset, recipe = options.seeds, plan[0].subset, plan[0].recipe
    held = round(subset.base_images * recipe.data.holdout_fraction)

    def mean(name: str, what: str) -> str:
        return over_seeds([results[name, seed][what] for seed in range(seeds)]).text(100, 2)

    rows = [
        [
            name,
            " + ".join(str(options.longer * epochs) for epochs in (method.epochs, method.mixed_epochs) if epochs),
            f"{options.longer * method.passes(recipe.finetune.auxiliary_stride):g}",
            *(mean(name, what) for what in ("1-shot", "5-shot", "accuracy", "calibration")),
            f"{sum(results[name, seed]['seconds'] for seed in range(seeds)) / seeds:.0f}",
        ]
        for name, method in METHODS.items()
    ]
    pairs = [
        [first, second, *(difference(results, first, second, what, seeds).text(100, 2, signed=True) for what in ("1-shot", "5-shot"))]
        for first, second in PAIRS
    ]
    return [
        f"Conv4 with {recipe.model.width} channels and the cosine classifier of S2M2 in training; {subset.base_classes} base classes with "
        f"{subset.base_images - held} images each to train on and {held} held out. Input mixup: alpha 1; manifold mixup: alpha 2, "
        f"input and stages 1 to 3. Few-shot: 5-way, nearest class mean by cosine, {plan[0].tasks} tasks of novel classes, the same for "
        "all trials; these classes are fixed, so the intervals are for other seeds of training, not of other classes. Last epoch, nothing "
        "selected, no setting tuned.",
        "",
        "Percent. Passes: images through the network for each training image. Accuracy and calibration error: of the class head on the "
        "held-out images.",
        "",
        *table_lines(["method", "epochs", "passes", "1-shot", "5-shot", "accuracy", "calibration error", "processor s"], rows),
        "",
        "## Differences, in points, on the same seeds and tasks",
        "",
        *table_lines(["first", "less", "1-shot", "5-shot"], pairs),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, draw and write the report."""
    options = parse(__doc__, argv, seeds=3)
    torch.set_num_threads(1)
    plan = trials(options)
    measured = run_trials("few_shot", plan, measure, options)
    results = {(trial.setting, trial.recipe.seed): one for trial, one in zip(plan, measured, strict=True)}
    image = draw(results, options)
    write_report(
        options, "few_shot", "Does mixing help few-shot", [image], report(results, options, plan), [one["seconds"] for one in measured]
    )


if __name__ == "__main__":
    main()
