"""Where the virtual points of input mixup fall, for alpha 0.2, 1 and 5: two moons, and the Beta densities of the weights.

Some mixtures of two points of one moon lie far from it, and some mixtures of both moons lie on one of them under a mixed label: what
Guo, Mao and Zhang (AAAI 2019) call manifold intrusion. Both are counted.
"""

import time
from argparse import Namespace
from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import beta
from sklearn.datasets import make_moons
from torch import Tensor

from benchmarks.studies.arguments import parse
from benchmarks.studies.protocol import Findings
from benchmarks.studies.reporting import figure, over_seeds, save_figure, table_lines, write_report
from s2m2.random import StepStream, seed_for
from s2m2.recipe.training import MixConfig
from s2m2.training.objectives import sample_step_mix

ALPHAS = (0.2, 1.0, 5.0)
POINTS, NEAR, STRONG = 600, 0.1, 0.1
"""Points of both moons; distance from a moon within which a point counts as on it; smallest weight of a partner that counts as mixed."""


def moons(seed: int) -> tuple[Tensor, Tensor]:
    """Points of two half circles with a little noise, and their half circle."""
    points, labels = make_moons(POINTS, noise=0.05, random_state=seed_for(seed, "moons") % 2**32)
    return torch.from_numpy(points).float(), torch.from_numpy(labels).long()


def virtual(alpha: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The points mixed by the package's own sampling, the fraction of moon 2 of their labels, and the weights of the partners."""
    points, labels = moons(seed)
    stream = StepStream(seed=seed, stage="virtual points", step=0, batch_size=POINTS)
    mix = sample_step_mix(MixConfig(stages=(0,), alpha=alpha, per_sample=True), 1, labels, stream)
    return mix.blend(points), mix.targets(labels, 2)[:, 1], mix.weights[0]


def off_moon(points: Tensor) -> tuple[Tensor, Tensor]:
    """Distances of points from the half circles without noise."""
    along = torch.linspace(0, torch.pi, 400)
    upper = torch.stack([along.cos(), along.sin()], dim=1)
    lower = torch.stack([1 - along.cos(), 0.5 - along.sin()], dim=1)
    return torch.cdist(points, upper).min(1).values, torch.cdist(points, lower).min(1).values


def measure(alpha: float, seed: int) -> Findings:
    """Fractions of all virtual points, and the mean weight of the lesser partner."""
    started = time.process_time()
    mixed, targets, weights = virtual(alpha, seed)
    lesser = torch.minimum(weights, 1 - weights)
    nearest = torch.minimum(*off_moon(mixed))
    mixed_label = torch.minimum(targets, 1 - targets) > STRONG
    return {
        "lesser": float(lesser.mean()),
        "hardly": float((lesser < STRONG).double().mean()),
        "off": float((nearest > NEAR).double().mean()),
        "intruding": float(((nearest <= NEAR) & mixed_label).double().mean()),
        "seconds": time.process_time() - started,
    }


def draw(options: Namespace) -> str:
    """Densities above, virtual points of the first seed below."""
    points, labels = moons(0)
    grid = np.linspace(0.002, 0.998, 500)
    with figure(2, 3, width=9.2, height=3.7, height_ratios=(1, 1)) as (drawing, axes):
        for column, alpha in enumerate(ALPHAS):
            mixed, targets, weights = virtual(alpha, 0)
            density, plane = axes[:, column]
            density.hist(weights.numpy(), bins=25, range=(0, 1), density=True, color="#d9dce1")
            density.plot(grid, beta.pdf(grid, alpha, alpha), color="#23272f")
            density.set(ylim=(0, 6), xlabel="weight of the partner, λ", title=f"Beta({alpha:g}, {alpha:g})")
            for moon, mark in ((0, "o"), (1, "^")):
                plane.scatter(*points[labels == moon].T.numpy(), s=5, color="#b9bec7", marker=mark, linewidths=0)
            image = plane.scatter(
                *mixed.T.numpy(), c=targets.numpy(), cmap="PuOr", vmin=0, vmax=1, s=9, linewidths=0.2, edgecolors="#6b7280"
            )
            plane.set(aspect="equal", xticks=[], yticks=[], title="virtual points on the moons (gray)")
            plane.grid(visible=False)
        axes[0, 0].set_ylabel("density")
        drawing.colorbar(image, ax=axes[1, :], label="mixed label:\nfraction of moon 2", ticks=[0, 0.5, 1], fraction=0.03, shrink=0.9)
        return save_figure(drawing, options, "virtual_points.png")


def report(results: dict[tuple[float, int], Findings], options: Namespace) -> list[str]:
    """The table."""
    rows = []
    for alpha in ALPHAS:
        # E min(lambda, 1 - lambda) = 2 P(Beta(alpha + 1, alpha) < 1/2) E lambda, by the symmetry of Beta(alpha, alpha)
        expected = [float(beta.cdf(0.5, alpha + 1, alpha)), 2 * float(beta.cdf(STRONG, alpha, alpha))]
        cells = [
            over_seeds([results[alpha, seed][what] for seed in range(options.seeds)]).text(scale, digits)
            for what, scale, digits in (("lesser", 1, 3), ("hardly", 100, 1), ("off", 100, 1), ("intruding", 100, 1))
        ]
        rows.append([f"{alpha:g}", f"{cells[0]} ({expected[0]:.3f})", f"{cells[1]} ({100 * expected[1]:.1f})", *cells[2:]])
    return [
        f"{POINTS} points of two moons (noise 0.05), each mixed with a random other one, with a weight of its own. In parentheses what the "
        "Beta distribution says.",
        "",
        f"Lesser weight: mean of min(λ, 1 - λ). Hardly mixed: percent of virtual points whose lesser weight is below {STRONG:g}. Off: "
        f"percent farther than {NEAR:g} from both half circles. Intruding: percent within {NEAR:g} of one of them whose label is at least "
        f"{STRONG:.0%} of each moon.",
        "",
        *table_lines(["alpha", "lesser weight", "hardly mixed", "off", "intruding"], rows),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, draw and write the report."""
    options = parse(__doc__, argv, seeds=20, images=False)
    torch.set_num_threads(1)
    results = {(alpha, seed): measure(alpha, seed) for alpha in ALPHAS for seed in range(options.seeds)}
    image = draw(options)
    write_report(
        options,
        "virtual_points",
        "Where virtual points fall",
        [image],
        report(results, options),
        [one["seconds"] for one in results.values()],
    )


if __name__ == "__main__":
    main()
