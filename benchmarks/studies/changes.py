"""What the sweeps share: settings that differ from a baseline in one thing, seed by seed, on the same validation tasks."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from benchmarks.studies.arguments import at_least
from benchmarks.studies.protocol import Findings, Subset
from benchmarks.studies.reporting import COLORS, Mean, figure, over_seeds, save_figure, table_lines

Results = dict[tuple[str, int], Findings]
"""Findings by change and seed."""
SHOTS = ("1-shot", "5-shot")


def add_size(parser: ArgumentParser, *, width: int, base_images: int) -> None:
    """How large the network and its training set are, with the defaults of a sweep."""
    parser.add_argument("--width", type=at_least(4), default=width, help="channels of the first layers, 4 or more")
    parser.add_argument("--base-images", type=at_least(2), default=base_images, help="images of each base class, 2 or more")


def sweep_subset(options: Namespace) -> Subset:
    """All base classes with some images of each, and what settings are chosen on."""
    quick = options.quick
    return Subset(
        dataset=options.dataset,
        digest=options.digest,
        base_classes=8 if quick else 64,
        base_images=8 if quick else options.base_images,
        novel_images=8 if quick else 100,
    )


def difference(results: Results, baseline: str, name: str, what: str, seeds: int) -> Mean:
    """A change less the baseline, seed by seed, on the same tasks."""
    return over_seeds([results[name, seed][what] - results[baseline, seed][what] for seed in range(seeds)])


def draw_differences(results: Results, baseline: str, names: Sequence[str], options: Namespace, image: str) -> str:
    """What every change adds to the baseline; returns the path of the figure for the report."""
    others = [name for name in names if name != baseline]
    with figure(1, 2, width=8.4, height=1.2 + 0.2 * len(others), sharey=True) as (drawing, axes):
        for panel, what in zip(axes, SHOTS, strict=True):
            for position, name in enumerate(others):
                one = difference(results, baseline, name, what, options.seeds)
                panel.errorbar(100 * one.mean, position, xerr=100 * one.half, fmt="o", markersize=5, color=COLORS[1])
            panel.axvline(0, color="#6b7280", linewidth=0.8)
            panel.set_title(f"5-way {what}, points more than: {baseline}")
            panel.set_yticks(range(len(others)), others)
            panel.grid(visible=True, axis="x")
        axes[0].invert_yaxis()
        return save_figure(drawing, options, image)


def difference_table(results: Results, baseline: str, names: Sequence[str], seeds: int) -> list[str]:
    """Scores of all settings, and what each adds to the baseline."""
    rows = [
        [
            name,
            *(over_seeds([results[name, seed][what] for seed in range(seeds)]).text(100, 2) for what in SHOTS),
            *("" if name == baseline else difference(results, baseline, name, what, seeds).text(100, 2, signed=True) for what in SHOTS),
            f"{sum(results[name, seed]['seconds'] for seed in range(seeds)) / seeds:.0f}",
        ]
        for name in names
    ]
    return table_lines(["change", *SHOTS, *(f"{what} difference" for what in SHOTS), "processor s"], rows)
