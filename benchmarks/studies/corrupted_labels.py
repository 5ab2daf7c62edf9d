"""Wrong labels: what plain training and mixing learn of them over time, with 20, 50 and 80 % of the labels replaced.

A small network sees few images many times, without augmentation, so that it can memorize labels. It is measured on clean held-out
images of the same classes, and on its own training images.
"""

from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from benchmarks.studies.arguments import parse
from benchmarks.studies.protocol import Findings, Subset, Trained, Trial, held_out_quality, run_trials, train
from benchmarks.studies.reporting import COLORS, figure, over_seeds, save_figure, table_lines, write_report
from s2m2.analysis.predictions import memorization
from s2m2.recipe import AugmentConfig, DataConfig, ModelConfig, OptimizerConfig, PretrainConfig, Recipe, ValidationConfig
from s2m2.recipe.training import MixConfig

RATES = (0.2, 0.5, 0.8)
METHODS: dict[str, MixConfig | None] = {
    "plain": None,
    "input mixup, α = 1": MixConfig(stages=(0,), alpha=1.0),
    "manifold mixup, α = 2": MixConfig(alpha=2.0),
}


def setting_of(method: str, rate: float) -> str:
    return f"{method.replace(', α = ', ' ')} {rate:g}"


def trials(options: Namespace) -> list[Trial]:
    """Every method with every fraction of wrong labels."""
    quick = options.quick
    subset = Subset(
        dataset=options.dataset, digest=options.digest, base_classes=8 if quick else 10, base_images=8 if quick else 140, novel_images=8
    )

    def recipe(seed: int, rate: float, mix: MixConfig | None) -> Recipe:
        objective: Any = {"objective": "mixup", "mix": mix} if mix else {"objective": "supervised"}
        return Recipe(
            seed=seed,
            # Whole images in training and in measuring: memorized images shall be recognized.
            data=DataConfig(
                resize_ratio=1.0,
                augment=AugmentConfig(scale=(1.0, 1.0), ratio=(1.0, 1.0), jitter=0.0),
                holdout_fraction=0.5 if quick else 5 / 7,
                label_noise=rate,
            ),
            model=ModelConfig(width=4 if quick else 24, head="linear"),
            pretrain=PretrainConfig(
                epochs=2 if quick else 30 * options.longer,
                batch_size=32,
                optimizer=OptimizerConfig(weight_decay=1e-4),
                validation=ValidationConfig(every=1 if quick else 5 * options.longer),
                **objective,
            ),
        )

    return [
        Trial(setting=setting_of(method, rate), recipe=recipe(seed, rate, mix), subset=subset)
        for seed in range(options.seeds)
        for rate in RATES
        for method, mix in METHODS.items()
    ]


def measure(trial: Trial) -> Findings:
    """One training, looked at every few epochs."""
    looks: list[Findings] = []
    train(trial, partial(look, looks))
    return {"looks": looks}


def look(looks: list[Findings], trained: Trained) -> None:
    """Clean held-out images, and the labels of the training images, right and wrong; nothing is selected by it."""
    base = trained.base
    learned = memorization(trained.logits(base.indices).argmax(1), base.labels, base.true_labels)
    wrong = {"memorized": learned.memorized, "resisted": learned.true_label, "clean": learned.clean_accuracy}
    looks.append({**held_out_quality(trained), **wrong})


Results = dict[tuple[str, int], Findings]


def at_last(results: Results, setting: str, what: str, seeds: int) -> list[float]:
    """After the last epoch."""
    return [results[setting, seed]["looks"][-1][what] for seed in range(seeds)]


def early_look(results: Results) -> int:
    """The look after a third of the training, when memorization is under way."""
    return max(len(next(iter(results.values()))["looks"]) // 3 - 1, 0)


def early(results: Results, setting: str, seeds: int) -> list[float]:
    """Wrong labels learned after a third of the training."""
    return [results[setting, seed]["looks"][early_look(results)]["memorized"] for seed in range(seeds)]


def at_best(results: Results, setting: str, seeds: int) -> list[float]:
    """Held-out accuracy at the look where it is greatest, which is chosen on the same images and therefore optimistic."""
    return [max(one["accuracy"] for one in results[setting, seed]["looks"]) for seed in range(seeds)]


def draw(results: Results, options: Namespace, every: int) -> str:
    """Held-out accuracy and wrong labels learned, over training."""
    with figure(2, 3, width=8.6, height=4.6, sharex=True, sharey="row") as (drawing, axes):
        for column, rate in enumerate(RATES):
            for row, (what, words) in enumerate((("accuracy", "clean held-out accuracy"), ("memorized", "wrong labels memorized"))):
                panel = axes[row, column]
                for number, method in enumerate(METHODS):
                    runs = [results[setting_of(method, rate), seed]["looks"] for seed in range(options.seeds)]
                    means = [over_seeds([100 * run[number][what] for run in runs]) for number in range(len(runs[0]))]
                    epochs = [every * (number + 1) for number in range(len(means))]
                    style: Any = {"color": COLORS[number], "linestyle": ("-", "--", "-.", ":")[number]}
                    panel.plot(epochs, [one.mean for one in means], label=method, **style)
                    low, high = [one.mean - one.half for one in means], [one.mean + one.half for one in means]
                    panel.fill_between(epochs, low, high, color=COLORS[number], alpha=0.12, linewidth=0)
                panel.set_ylim(0, None)
                if column == 0:
                    panel.set_ylabel(f"{words}, %")
                if row == 0:
                    panel.set_title(f"{rate:.0%} wrong labels")
                else:
                    panel.set_xlabel("epochs")
        axes[1, 0].legend(loc="lower right", fontsize=7)
        return save_figure(drawing, options, "corrupted_labels.png")


def less_plain(values: Sequence[float], plain: Sequence[float]) -> str:
    """The paired difference, in points."""
    return over_seeds([one - other for one, other in zip(values, plain, strict=True)]).text(100, 1, signed=True)


def rows_of(results: Results, seeds: int) -> tuple[list[list[str]], list[list[str]]]:
    """Rows of the table of held-out images and of that of training images."""
    rows, training_rows = [], []
    for rate in RATES:
        plain = setting_of("plain", rate)
        for method in METHODS:
            setting, is_plain = setting_of(method, rate), method == "plain"
            last, soon = at_last(results, setting, "accuracy", seeds), early(results, setting, seeds)
            rows.append(
                [f"{rate:.0%}", method]
                + [over_seeds(values).text(100, 1) for values in (at_best(results, setting, seeds), last)]
                + ["" if is_plain else less_plain(last, at_last(results, plain, "accuracy", seeds))]
                + [over_seeds(at_last(results, setting, "nll", seeds)).text(1, 2)]
                + [over_seeds(at_last(results, setting, "calibration", seeds)).text(100, 1)]
            )
            training_rows.append(
                [f"{rate:.0%}", method, over_seeds(soon).text(100, 1), "" if is_plain else less_plain(soon, early(results, plain, seeds))]
                + [over_seeds(at_last(results, setting, what, seeds)).text(100, 1) for what in ("memorized", "resisted", "clean")]
            )
    return rows, training_rows


def report(results: Results, options: Namespace, plan: Sequence[Trial]) -> list[str]:
    """The tables."""
    seeds, subset, recipe = options.seeds, plan[0].subset, plan[0].recipe
    trained = subset.base_images - round(subset.base_images * recipe.data.holdout_fraction)

    rows, training_rows = rows_of(results, seeds)
    third = (early_look(results) + 1) * recipe.pretrain.validation.every
    return [
        f"Conv4 with {recipe.model.width} channels and a linear classifier; {subset.base_classes} classes with {trained} images each to "
        f"train on, whole and without augmentation, {recipe.pretrain.epochs} epochs; {subset.base_images - trained} of each are held out "
        f"with their right labels. Looked at every {recipe.pretrain.validation.every} epochs. Chance is {1 / subset.base_classes:.0%}.",
        "",
        "## Clean held-out images",
        "",
        "Accuracy in percent at the best look (chosen on these same images) and after the last epoch, less plain training in "
        "points; negative log-likelihood in nats and calibration error in percent after the last epoch.",
        "",
        *table_lines(["wrong labels", "method", "best", "last", "less plain", "negative log-likelihood", "calibration error"], rows),
        "",
        "## Training images",
        "",
        f"Percent. Wrong learned: images with a wrong label that are assigned to it, after {third} epochs, less plain training, "
        "and after the last epoch; wrong resisted: those assigned to their true class; right learned: of the other images, those assigned "
        "to their label.",
        "",
        *table_lines(
            ["wrong labels", "method", f"wrong learned, {third} epochs", "less plain", "wrong learned", "wrong resisted", "right learned"],
            training_rows,
        ),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, draw and write the report."""
    options = parse(__doc__, argv, seeds=3)
    torch.set_num_threads(1)
    plan = trials(options)
    measured = run_trials("corrupted_labels", plan, measure, options)
    results = {(trial.setting, trial.recipe.seed): one for trial, one in zip(plan, measured, strict=True)}
    image = draw(results, options, plan[0].recipe.pretrain.validation.every)
    seconds = [one["seconds"] for one in measured]
    write_report(options, "corrupted_labels", "Wrong labels", [image], report(results, options, plan), seconds)


if __name__ == "__main__":
    main()
