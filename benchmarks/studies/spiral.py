"""A two-dimensional spiral through a two-dimensional bottleneck: what regularizers do to decision regions and to the hidden layout.

After Verma et al. (ICML 2019, figure 1): two arms of a spiral, a small network whose middle layer has two units, so that its hidden
states can be drawn as they are. Manifold mixup mixes in that layer alone.
"""

import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.colors import LinearSegmentedColormap
from torch import Tensor, nn

from benchmarks.studies.arguments import parse
from benchmarks.studies.protocol import Findings
from benchmarks.studies.reporting import figure, over_seeds, save_figure, table_lines, write_report
from s2m2.analysis.geometry import class_spectrum
from s2m2.analysis.predictions import prediction_quality
from s2m2.mixup import soft_cross_entropy
from s2m2.random import StepStream, generator_for
from s2m2.recipe.training import MixConfig
from s2m2.training.objectives import sample_step_mix

POINTS, TEST_POINTS, WIDTH, BATCH, STEPS, SIZE = 100, 2000, 64, 50, 1200, 1.4
"""Points of each arm, to train and to test on; hidden units; points a step; steps; half the size of the plane shown."""
SPREAD = 0.07
"""Standard deviation of the points around their arm."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One way of training."""

    mix: MixConfig | None = None
    dropout: float = 0.0
    """Of the wide layers."""
    weight_decay: float = 0.0
    noise: float = 0.0
    """Standard deviation of Gaussian noise that is added to the hidden states of every layer in training."""


BOTTLENECK = 3
"""Stage after the bottleneck: mixing before this stage."""
SETTINGS = {
    "plain": Setting(),
    "input mixup": Setting(mix=MixConfig(stages=(0,), alpha=1.0, per_sample=True)),
    "manifold mixup": Setting(mix=MixConfig(stages=(BOTTLENECK,), alpha=1.0, per_sample=True)),
    "dropout 0.2": Setting(dropout=0.2),
    "weight decay 0.003": Setting(weight_decay=3e-3),
    "noise 0.3": Setting(noise=0.3),
}


REGIONS = LinearSegmentedColormap.from_list("regions", ["#e8a24c", "#f7f7f7", "#8d7fc0"])
"""Light enough for points of both arms to be visible."""


class Noise(nn.Module):
    """Gaussian noise in training."""

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, values: Tensor) -> Tensor:
        return values + self.deviation * torch.randn_like(values) if self.training and self.deviation else values


def spiral(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points of two arms, one and a quarter revolutions each, and their arms."""
    arms = torch.arange(2).repeat_interleave(count)
    along = torch.rand(2 * count, generator=generator).sqrt()
    angles = 2.5 * torch.pi * along + torch.pi * arms
    points = along[:, None] * torch.stack([angles.cos(), angles.sin()], dim=1)
    return points + SPREAD * torch.randn(points.shape, generator=generator), arms


def network(setting: Setting) -> nn.ModuleList:
    """Stages: two wide layers, the bottleneck, and what follows it."""

    def wide(inputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, WIDTH), nn.ReLU(), Noise(setting.noise), nn.Dropout(setting.dropout))

    bottleneck = nn.Sequential(nn.Linear(WIDTH, 2), Noise(setting.noise))
    return nn.ModuleList([wide(2), wide(WIDTH), bottleneck, nn.Sequential(wide(2), nn.Linear(WIDTH, 2))])


def fit(setting: Setting, seed: int, steps: int) -> tuple[nn.ModuleList, Tensor, Tensor]:
    """A trained network with its points; all settings start from the same weights and see the same batches."""
    points, arms = spiral(POINTS, generator_for(seed, "spiral"))
    torch.manual_seed(seed)  # layers, dropout and noise sample from torch's global generator
    stages = network(setting)
    optimizer = torch.optim.Adam(stages.parameters(), lr=0.005, weight_decay=setting.weight_decay)
    for step in range(steps):
        stream = StepStream(seed=seed, stage="spiral", step=step, batch_size=BATCH)
        chosen = torch.randperm(len(points), generator=stream.generator("batch"))[:BATCH]
        labels, values = arms[chosen], points[chosen]
        mix = sample_step_mix(setting.mix or MixConfig(alpha=0.0), len(stages), labels, stream)
        for number, stage in enumerate(stages):
            values = stage(mix.blend(values) if number == mix.stage else values)
        soft_cross_entropy(values, mix.targets(labels, 2)).backward()
        optimizer.step()
        optimizer.zero_grad()
    return stages.eval(), points, arms


@torch.no_grad()
def passed(stages: Sequence[nn.Module], values: Tensor) -> Tensor:
    for stage in stages:
        values = stage(values)
    return values


def plane(cells: int) -> Tensor:
    """Centers of the cells of the plane, row by row from below."""
    axis = (torch.arange(cells) + 0.5) / cells * 2 * SIZE - SIZE
    return torch.stack([axis.repeat(cells), axis.repeat_interleave(cells)], dim=1)


def measure(name: str, seed: int, steps: int) -> Findings:
    """Test metrics, and the flatness of the hidden classes."""
    started = time.process_time()
    stages, points, arms = fit(SETTINGS[name], seed, steps)
    test_points, truth = spiral(TEST_POINTS, generator_for(seed, "spiral test"))
    quality = prediction_quality(passed(stages, test_points), truth)
    flat = class_spectrum(passed(stages[:BOTTLENECK], test_points), truth)
    return {
        "accuracy": quality.accuracy,
        "nll": quality.nll,
        "calibration": quality.calibration_error,
        "confidence": float(passed(stages, plane(60)).softmax(1).max(1).values.mean()),
        "first": flat.largest_fraction,
        "within": flat.within,
        "figure": (passed(stages, plane(160)).softmax(1)[:, 1], passed(stages[:BOTTLENECK], points), points, arms),
        "seconds": time.process_time() - started,
    }


def draw(results: dict[tuple[str, int], Findings], options: Namespace) -> str:
    """Regions and hidden states of the first seed."""
    with figure(2, len(SETTINGS), width=11.0, height=3.9) as (drawing, axes):
        for column, name in enumerate(SETTINGS):
            probabilities, hidden, points, arms = results[name, 0]["figure"]
            regions, layout = axes[:, column]
            image: Any = regions.imshow(
                probabilities.reshape(160, 160).numpy(),
                origin="lower",
                extent=(-SIZE, SIZE, -SIZE, SIZE),
                cmap=REGIONS,
                vmin=0,
                vmax=1,
                aspect="equal",
            )
            spread = hidden - hidden.mean(0)
            spread = spread / spread.abs().max()
            for arm, color, mark in ((0, "#8a4b08", "o"), (1, "#3b2a6b", "^")):
                regions.scatter(*points[arms == arm].T.numpy(), s=9, color=color, marker=mark, linewidths=0.3, edgecolors="white")
                layout.scatter(*spread[arms == arm].T.numpy(), s=9, color=color, marker=mark, linewidths=0, alpha=0.7)
            regions.set_title(name)
            layout.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal")
            for panel in (regions, layout):
                panel.set_xticks([])
                panel.set_yticks([])
                panel.grid(visible=False)
        axes[0, 0].set_ylabel("decision regions")
        axes[1, 0].set_ylabel("two hidden units")
        drawing.colorbar(image, ax=axes[0, -1], label="p(arm 2)", fraction=0.05, ticks=[0, 0.5, 1])
        return save_figure(drawing, options, "spiral.png")


def report(results: dict[tuple[str, int], Findings], options: Namespace) -> list[str]:
    """The table."""

    def cell(name: str, what: str, scale: float, digits: int) -> str:
        return over_seeds([results[name, seed][what] for seed in range(options.seeds)]).text(scale, digits)

    shapes = (("accuracy", 100, 1), ("nll", 1, 3), ("calibration", 100, 1), ("confidence", 100, 1), ("first", 100, 1), ("within", 100, 1))
    rows = [[name, *(cell(name, *shape) for shape in shapes)] for name in SETTINGS]
    gains = []
    for name in list(SETTINGS)[1:]:
        each = [results[name, seed]["first"] - results["plain", seed]["first"] for seed in range(options.seeds)]
        spread = [results[name, seed]["within"] - results["plain", seed]["within"] for seed in range(options.seeds)]
        gains.append([name, over_seeds(each).text(100, 1, signed=True), over_seeds(spread).text(100, 1, signed=True)])
    return [
        f"Layers of 2, {WIDTH}, {WIDTH}, 2 (the bottleneck), {WIDTH} and 2 units; {POINTS} points of each arm, {BATCH} a step, Adam with "
        f"learning rate 0.005. Mixtures: alpha 1, a weight for each point. Measured on {2 * TEST_POINTS:,} fresh points. The figure shows "
        f"the first seed; hidden states are centered, and scaled by their largest coordinate. {STEPS:,} steps.",
        "",
        "Accuracy, calibration error and confidence in percent, negative log-likelihood (NLL) in nats; confidence: mean of the larger "
        "probability over the plane of the figure. First direction: fraction of a class's hidden variance in its first principal "
        "direction, mean over the two classes (50 %: round; 100 %: a line). Within: variance within classes as a fraction of all "
        "hidden variance (0: every class is one point).",
        "",
        *table_lines(["", "accuracy", "NLL", "calibration error", "confidence", "first direction", "within"], rows),
        "",
        "Less plain training, in points:",
        "",
        *table_lines(["", "first direction", "within"], gains),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, draw and write the report."""
    options = parse(__doc__, argv, seeds=5, images=False)
    torch.set_num_threads(1)
    steps = 10 if options.quick else STEPS
    results = {(name, seed): measure(name, seed, steps) for name in SETTINGS for seed in range(options.seeds)}
    image = draw(results, options)
    write_report(options, "spiral", "The spiral", [image], report(results, options), [one["seconds"] for one in results.values()])


if __name__ == "__main__":
    main()
