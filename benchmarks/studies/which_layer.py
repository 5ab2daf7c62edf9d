"""Which layer to mix: input, every stage, features or all, for four alphas, beside how entangled each layer's classes are.

Trains a small network from scratch on mixed images of some base classes and measures the loss on held-out images of these classes
and few-shot accuracy on novel classes. The soft nearest neighbor loss of each layer is that of the plainly trained network.
"""

import itertools
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import torch
from scipy.stats import spearmanr

from benchmarks.studies.arguments import parse
from benchmarks.studies.protocol import BATCH, Findings, Subset, Trial, few_shot, held_out_quality, run_trials, train
from benchmarks.studies.reporting import ALPHA_COLORS, Mean, figure, over_seeds, save_figure, table_lines, write_report
from s2m2.analysis.network import sample_by_class
from s2m2.analysis.representation import measure_representation
from s2m2.random import generator_for
from s2m2.recipe import AugmentConfig, DataConfig, ModelConfig, PretrainConfig, Recipe, ValidationConfig
from s2m2.recipe.training import MixConfig

ALPHAS = (0.04, 0.2, 1.0, 5.0)
POSITIONS: dict[str, tuple[int, ...]] = {
    "input": (0,),
    "stage 1": (1,),
    "stage 2": (2,),
    "stage 3": (3,),
    "features": (4,),
    "all": (0, 1, 2, 3),
}
"""Where to mix: what enters the network, leaves a stage, or enters the classifier; all: a random one of the first four each step (S2M2)."""
SINGLE = tuple(POSITIONS)[:5]
PLAIN = "plain"


def alphas(options: Namespace) -> tuple[float, ...]:
    return ALPHAS[2:3] if options.quick else ALPHAS


def setting_of(position: str, alpha: float) -> str:
    return f"{position} {alpha:g}"


def trials(options: Namespace) -> list[Trial]:
    """Plain training, and every position with every alpha."""
    quick = options.quick
    subset = Subset(
        dataset=options.dataset,
        digest=options.digest,
        base_classes=8 if quick else 32,
        base_images=8 if quick else 64,
        novel_images=8 if quick else 100,
    )
    epochs = 1 if quick else 14 * options.longer
    mixed = [
        (setting_of(position, alpha), MixConfig(stages=POSITIONS[position], alpha=alpha))
        for position in POSITIONS
        for alpha in alphas(options)
    ]

    def recipe(seed: int, mix: MixConfig | None) -> Recipe:
        objective: Any = {"objective": "mixup", "mix": mix} if mix else {"objective": "supervised"}
        return Recipe(
            seed=seed,
            data=DataConfig(augment=AugmentConfig(scale=(0.6, 1.0), flip=0.5, jitter=0.0), holdout_fraction=0.5),
            model=ModelConfig(width=4 if quick else 16, head="linear"),
            pretrain=PretrainConfig(epochs=epochs, batch_size=32, validation=ValidationConfig(every=epochs), **objective),
        )

    tasks = 10 if quick else 600
    every = [(PLAIN, None), *mixed]
    return [
        Trial(setting=setting, recipe=recipe(seed, mix), subset=subset, tasks=tasks)
        for seed in range(options.seeds)
        for setting, mix in every
    ]


def measure(trial: Trial) -> Findings:
    """One training; of the plain one, the entanglement of every layer too."""
    trained = train(trial)
    findings = {**held_out_quality(trained), **few_shot(trained)}
    if trial.setting == PLAIN:
        base = trained.base
        chosen = sample_by_class(base.holdout_labels, trial.subset.base_classes, 10, generator_for(trial.recipe.seed, "entanglement"))
        indices, labels = base.holdout_indices[chosen], base.holdout_labels[chosen]
        images = trained.dataset.image_tensor()
        representation = measure_representation(trained.backbone, images, indices, labels, trained.view, batch_size=BATCH)
        findings["entanglement"] = [layer.entanglement for layer in representation.layers]
        findings["chance"] = representation.chance
    return findings


Results = dict[tuple[str, int], Findings]


def differences(results: Results, setting: str, what: str, seeds: int) -> list[float]:
    """Setting less plain training, seed by seed."""
    return [results[setting, seed][what] - results[PLAIN, seed][what] for seed in range(seeds)]


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's; 0 where all values of one are the same, which then says nothing of the other."""
    return float(spearmanr(one, other).statistic) if len(set(one)) > 1 and len(set(other)) > 1 else 0.0


def correlation(results: Results, alpha: float, what: str, seeds: int) -> tuple[Mean, float, int, int]:
    """Spearman's correlation over the five positions between a layer's entanglement and what mixing there gives.

    Returns:
        Its mean over seeds; the fraction of the 120 permutations whose mean is as far from 0 (two-sided, exact); and in how many
        seeds the most entangled position was the worst, and the features were the best.
    """
    sign = 1 if what == "nll" else -1  # so that a positive correlation is what the hypothesis says: entangled is worse
    losses = [[sign * results[setting_of(position, alpha), seed][what] for position in SINGLE] for seed in range(seeds)]
    entangled = [results[PLAIN, seed]["entanglement"] for seed in range(seeds)]

    def mean_of(order: Sequence[int]) -> float:
        pairs = zip(entangled, losses, strict=True)
        return sum(rank_correlation([tangle[position] for position in order], loss) for tangle, loss in pairs) / seeds

    observed = mean_of(range(5))
    shuffled = [abs(mean_of(order)) for order in itertools.permutations(range(5))]
    p_value = sum(value >= abs(observed) - 1e-9 for value in shuffled) / len(shuffled)
    each = [rank_correlation(tangle, loss) for tangle, loss in zip(entangled, losses, strict=True)]
    worst = sum(loss.index(max(loss)) == tangle.index(max(tangle)) for tangle, loss in zip(entangled, losses, strict=True))
    best = sum(loss.index(min(loss)) == 4 for loss in losses)
    return over_seeds(each), p_value, worst, best


def draw(results: Results, options: Namespace) -> str:
    """Differences to plain training by position and alpha, beside the entanglement of each layer."""
    with figure(1, 3, width=10.2, height=3.3) as (drawing, axes):
        for panel, (what, scale, title) in zip(
            axes,
            (
                ("nll", 1, "loss on held-out images, nats\n(below 0: better)"),
                ("5-shot", 100, "5-shot accuracy, points\n(above 0: better)"),
            ),
            strict=False,
        ):
            for number, alpha in enumerate(alphas(options)):
                means = [over_seeds(differences(results, setting_of(position, alpha), what, options.seeds)) for position in POSITIONS]
                across = [position + (number - 1.5) * 0.16 for position in range(len(POSITIONS))]
                panel.errorbar(
                    across,
                    [scale * one.mean for one in means],
                    [scale * one.half for one in means],
                    fmt="osD^"[number],
                    markersize=4,
                    color=ALPHA_COLORS[number],
                    elinewidth=1.2,
                    label=f"α = {alpha:g}",
                )
            panel.axhline(0, color="#6b7280", linewidth=0.8)
            panel.set_title(f"mixed less plain: {title}", fontsize=9)
            panel.set_xticks(range(len(POSITIONS)), POSITIONS, rotation=30)
            panel.set_xlabel("mixed at")
        tangles = [over_seeds([results[PLAIN, seed]["entanglement"][layer] for seed in range(options.seeds)]) for layer in range(5)]
        axes[2].errorbar(range(5), [one.mean for one in tangles], [one.half for one in tangles], fmt="o-", color="#23272f", markersize=4)
        axes[2].axhline(results[PLAIN, 0]["chance"], color="#6b7280", linewidth=0.8, linestyle="--")
        axes[2].set_title("soft nearest neighbor loss, nats,\nplain training (dashed: chance)", fontsize=9)
        axes[2].set_xticks(range(5), SINGLE, rotation=30)
        axes[2].set_xlabel("layer")
        low, high = axes[0].get_ylim()
        axes[0].set_ylim(low, high + 0.18 * (high - low))
        axes[0].legend(loc="upper right", fontsize=7, ncols=2)
        return save_figure(drawing, options, "which_layer.png")


def difference_rows(results: Results, options: Namespace) -> list[list[str]]:
    """Mixed less plain training, for every position and alpha."""
    seeds = options.seeds
    return [
        [position, f"{alpha:g}"]
        + [over_seeds(differences(results, setting_of(position, alpha), "nll", seeds)).text(1, 3, signed=True)]
        + [
            over_seeds(differences(results, setting_of(position, alpha), what, seeds)).text(100, 2, signed=True)
            for what in ("accuracy", "calibration", "1-shot", "5-shot")
        ]
        for position in POSITIONS
        for alpha in alphas(options)
    ]


def related_rows(results: Results, options: Namespace) -> list[list[str]]:
    """How entanglement and the harm of mixing go together."""
    seeds = options.seeds
    related = []
    for alpha in alphas(options):
        for what, words in (("nll", "held-out loss"), ("1-shot", "1-shot accuracy"), ("5-shot", "5-shot accuracy")):
            mean, p_value, worst, best = correlation(results, alpha, what, seeds)
            related.append(
                [f"{alpha:g}", words, mean.text(1, 2, signed=True), f"{p_value:.3f}", f"{worst} of {seeds}", f"{best} of {seeds}"]
            )
    return related


def report(results: Results, options: Namespace, plan: Sequence[Trial]) -> list[str]:
    """The tables."""
    seeds, subset, recipe = options.seeds, plan[0].subset, plan[0].recipe
    plain = {
        what: over_seeds([results[PLAIN, seed][what] for seed in range(seeds)])
        for what in ("nll", "accuracy", "calibration", "1-shot", "5-shot")
    }
    layers = [over_seeds([results[PLAIN, seed]["entanglement"][layer] for seed in range(seeds)]).text(1, 3) for layer in range(5)]
    trained = round(subset.base_images * (1 - recipe.data.holdout_fraction))
    held = subset.base_images - trained
    return [
        f"Conv4 with {recipe.model.width} channels and a linear classifier, from scratch, {recipe.pretrain.epochs} epochs of "
        f"{subset.base_classes} base classes with {trained} images each; {held} more of each are held out. Few-shot: 5-way, "
        f"nearest class mean by cosine, {plan[0].tasks} tasks of novel classes, the same for all trials. "
        "Last epoch, nothing selected.",
        "\n## Plain training\n",
        f"Held-out loss {plain['nll'].text(1, 3)} nats, accuracy {plain['accuracy'].text(100, 2)} %, calibration error "
        f"{plain['calibration'].text(100, 2)} points; 1-shot {plain['1-shot'].text(100, 2)} %, 5-shot {plain['5-shot'].text(100, 2)} %.",
        "",
        "Soft nearest neighbor loss on held-out images, 10 per class, at the minimizing temperature, in nats "
        f"({results[PLAIN, 0]['chance']:.3f}: chance level):",
        "",
        *table_lines(SINGLE, [layers]),
        "\n## Mixed less plain training\n",
        "Loss in nats (less is better), the others in points of percent (calibration error: less is better).",
        "",
        *table_lines(
            ["mixed at", "alpha", "held-out loss", "accuracy", "calibration error", "1-shot", "5-shot"], difference_rows(results, options)
        ),
        "\n## Does entanglement predict where mixing is bad?\n",
        "Spearman's correlation over the five single positions between a layer's soft nearest neighbor loss and how bad mixing there is "
        "(+1: the more entangled, the worse), mean over seeds. The interval tells whether it repeats with other seeds, not with other "
        "layers, of which there are five; p is the exact fraction of the 120 permutations whose mean is as far from 0. Twelve p are "
        "shown: one below 0.05 among them is no surprise. By chance the most entangled position is the worst in a fifth of the seeds.",
        "",
        *table_lines(["alpha", "by", "correlation", "p", "most entangled is worst", "features are best"], related_rows(results, options)),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, draw and write the report."""
    options = parse(__doc__, argv, seeds=3)
    torch.set_num_threads(1)
    plan = trials(options)
    measured = run_trials("which_layer", plan, measure, options)
    results = {(trial.setting, trial.recipe.seed): one for trial, one in zip(plan, measured, strict=True)}
    image = draw(results, options)
    write_report(
        options, "which_layer", "Which layer to mix", [image], report(results, options, plan), [one["seconds"] for one in measured]
    )


if __name__ == "__main__":
    main()
