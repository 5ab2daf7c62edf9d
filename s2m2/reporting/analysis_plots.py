"""What was measured of a run's representations and predictions, as plots: the stages of the run side by side in each."""

from collections.abc import Callable, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from s2m2.analysis.representation import LayerMeasures, Representation
from s2m2.analysis.results import Analysis, StageAnalysis
from s2m2.reporting.plots import COLORS, STYLE, Plot, canvas, in_percent, legend_above

SERIES = {"initial": ("initial weights", "gray"), "pretrain": ("after pretraining", "blue"), "finetune": ("after fine-tuning", "red")}
"""Name and color of each stage of a run."""
MIN_SHARE = 0.002
"""Share of the images below which a bin of confidence is too empty to be drawn."""


def layer_plots(analysis: Analysis) -> tuple[Plot, ...]:
    """Entanglement and effective rank layer by layer, and the spectra of the features."""
    plots = []
    with mpl.rc_context(STYLE):
        for kind in ("base", "novel"):
            measured = [(stage.name, one) for stage in analysis.stages if (one := _of_kind(stage, kind)) is not None]
            if measured:
                plots.append(_entanglement(kind, measured))
                plots.append(_rank(kind, measured))
        plots.append(_spectra(analysis.stages))
    return tuple(plots)


def head_plots(analysis: Analysis) -> tuple[Plot, ...]:
    """Reliability, accuracy under attack and labels learned by heart, as far as they were measured."""
    headed = [stage for stage in analysis.stages if stage.head is not None]
    remembering = [stage for stage in analysis.stages if stage.memorization is not None]
    plots = []
    with mpl.rc_context(STYLE):
        if headed:
            plots.append(_reliability(headed))
        if headed and headed[0].head is not None and headed[0].head.attacked:
            plots.append(_attack(headed))
        if remembering:
            plots.append(_memorization(remembering))
    return tuple(plots)


def _of_kind(stage: StageAnalysis, kind: str) -> Representation | None:
    return stage.base if kind == "base" else stage.novel


def _over_layers(axes: Axes, measured: Sequence[tuple[str, Representation]], figure: Callable[[LayerMeasures], float]) -> None:
    names = [layer.name for layer in measured[0][1].layers]
    for name, one in measured:
        label, color = SERIES[name]
        axes.plot(range(len(names)), [figure(layer) for layer in one.layers], color=COLORS[color], marker="o", markersize=4, label=label)
    axes.set_xticks(range(len(names)), names)


def _entanglement(kind: str, measured: Sequence[tuple[str, Representation]]) -> Plot:
    figure, axes = canvas("", "soft nearest neighbor loss (nats)")
    _over_layers(axes, measured, lambda layer: layer.entanglement)
    chance = measured[0][1].chance
    axes.axhline(chance, color=COLORS["muted"], linestyle=(0, (3, 2)), linewidth=1, label="_")
    axes.annotate(
        "chance", (1, chance), xycoords=("axes fraction", "data"), xytext=(0, -2), textcoords="offset points",
        ha="right", va="top", color=COLORS["muted"],
    )  # fmt: skip
    axes.set_ylim(bottom=0)
    legend_above(axes, columns=2)
    ends = "; ".join(f"{SERIES[name][0]} {one.layers[-1].entanglement:.2f}" for name, one in measured)
    return Plot(
        title=f"Entanglement, {kind} classes",
        description=f"Soft nearest neighbor loss of {kind} classes by layer; at the last layer: {ends}; chance is {chance:.2f}.",
        figure=figure,
    )


def _rank(kind: str, measured: Sequence[tuple[str, Representation]]) -> Plot:
    figure, axes = canvas("", "effective rank of a class")
    _over_layers(axes, measured, lambda layer: layer.effective_rank)
    axes.set_ylim(bottom=0)
    legend_above(axes, columns=2)
    ends = "; ".join(f"{SERIES[name][0]} {one.layers[-1].effective_rank:.1f}" for name, one in measured)
    words = f"Effective rank of the representations of {kind} classes by layer; at the last layer: {ends}."
    return Plot(title=f"Flatness, {kind} classes", description=words, figure=figure)


def _spectra(stages: Sequence[StageAnalysis]) -> Plot:
    figure, axes = canvas("direction of a class, the largest variance first", "share of its variance (%)")
    for stage in stages:
        label, color = SERIES[stage.name]
        for one, dashes in ((stage.base, "solid"), (stage.novel, (0, (2, 1.5)))):
            if one is not None:
                shares = [share for share in one.layers[-1].shares if share > 0]
                of = "base" if one is stage.base else "novel"
                axes.plot(range(1, len(shares) + 1), shares, color=COLORS[color], linestyle=dashes, label=f"{label}, {of}")
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.set_ylim(bottom=max(axes.get_ylim()[0], 1e-5))
    in_percent(axes.yaxis)
    figure.set_size_inches(4.4, 3.0)
    legend_above(axes, columns=2)
    firsts = "; ".join(f"{SERIES[stage.name][0]} {stage.base.layers[-1].largest_share:.0%}" for stage in stages)
    words = f"Shares of variance by direction within a class, of the features; the first direction holds, in base classes: {firsts}."
    return Plot(title="Spectrum of the features", description=words, figure=figure)


def _reliability(stages: Sequence[StageAnalysis]) -> Plot:
    figure, axes = canvas("probability of the predicted class (%)", "accuracy (%)")
    figure.set_size_inches(4.4, 3.2)
    axes.plot([0, 1], [0, 1], color=COLORS["muted"], linestyle=(0, (3, 2)), linewidth=1, label="_")
    found = []
    for stage in stages:
        head, (label, color) = stage.head, SERIES[stage.name]
        assert head is not None
        bins = [(count, confidence, right) for count, confidence, right in head.bins if count > MIN_SHARE * head.images]
        across, up = [confidence / count for count, confidence, _ in bins], [right / count for count, _, right in bins]
        text = f"{label}: error {100 * head.calibration_error:.1f} %"
        axes.plot(across, up, color=COLORS[color], linewidth=1, label=text)
        sizes = [4 + 160 * count / head.images for count, _, _ in bins]
        axes.scatter(across, up, s=sizes, color=COLORS[color], alpha=0.55, linewidths=0, label="_")
        found.append(text)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    in_percent(axes.xaxis, axes.yaxis)
    legend_above(axes, columns=1)
    words = f"Accuracy against probability of the predicted base class: {'; '.join(found)}."
    return Plot(title="Are the probabilities right?", description=words, figure=figure)


def _attack(stages: Sequence[StageAnalysis]) -> Plot:
    figure, axes = canvas("step of the attack (levels of 255)", "accuracy (%)")
    found, points = [], [(0.0, 0.0)]
    for stage in stages:
        head, (label, color) = stage.head, SERIES[stage.name]
        assert head is not None
        points = [(0.0, head.accuracy), *head.attacked]
        axes.plot(*zip(*points, strict=True), color=COLORS[color], marker="o", markersize=4, label=label)
        found.append(f"{label} from {head.accuracy:.0%} to {points[-1][1]:.0%}")
    axes.set_xticks([step for step, _ in points], [f"{step:g}" for step, _ in points])
    axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
    in_percent(axes.yaxis)
    legend_above(axes, columns=2)
    words = f"Accuracy under a single signed-gradient step of up to {points[-1][0]:g} levels: {'; '.join(found)}."
    return Plot(title="Accuracy under attack", description=words, figure=figure)


def _memorization(stages: Sequence[StageAnalysis]) -> Plot:
    figure, axes = canvas("", "of the images (%)")
    bars = ("wrong label:\nlearned by heart", "wrong label:\ntrue class found", "right label:\nrecognized")
    width, found = 0.8 / len(stages), []
    for number, stage in enumerate(stages):
        memory, (label, color) = stage.memorization, SERIES[stage.name]
        assert memory is not None
        shares = [share or 0.0 for share in (memory.given_label, memory.true_label, memory.clean_accuracy)]
        places = [place + (number - (len(stages) - 1) / 2) * width for place in range(len(bars))]
        drawn = axes.bar(places, shares, width=0.92 * width, color=COLORS[color], label=label)
        axes.bar_label(drawn, labels=[f"{100 * share:.0f}" for share in shares], fontsize=7, color=COLORS["muted"])
        found.append(
            f"{label}: {shares[0]:.0%} learned by heart, {shares[1]:.0%} given their true class, {shares[2]:.0%} of the others right"
        )
    axes.set_xticks(range(len(bars)), bars)
    axes.set_ylim(0, 1.08)
    in_percent(axes.yaxis)
    legend_above(axes, columns=2)
    return Plot(title="Corrupted labels", description=f"Images trained under a wrong label. {'; '.join(found)}.", figure=figure)
