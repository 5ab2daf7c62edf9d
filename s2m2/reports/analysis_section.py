"""The measurements of `s2m2 analyze` as a section of the report: tables beside plots with one line per stage of the run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from s2m2.analysis.measurements import Analysis, StageAnalysis, changed_stages, load_analysis
from s2m2.analysis.representation import LayerMeasures, Representation
from s2m2.errors import InputError
from s2m2.reports.analysis_tables import MeasureTable, entanglement_table, flatness_table, head_tables
from s2m2.reports.plots import COLORS, Plot, canvas, in_percent, legend_above, styled
from s2m2.reports.trust import draw_reliability, frame_reliability
from s2m2.runs.directory import RunDirectory

SERIES = {"initial": ("initial weights", "gray"), "pretrain": ("after pretraining", "blue"), "finetune": ("after fine-tuning", "red")}
"""Name and color of each stage of a run."""
NOUNS = {"pretrain": "pretraining", "finetune": "fine-tuning"}


@dataclass(frozen=True, kw_only=True, eq=False)
class MeasurePart:
    """One family of measures."""

    table: MeasureTable
    plots: tuple[Plot, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class AnalysisSection:
    """The section's content."""

    measured: str
    """Date and time in words; empty where the analysis cannot be read."""
    parts: tuple[MeasurePart, ...]
    warning: str = ""
    """Shown first: the analysis cannot be read, or is not of the run's weights."""
    stages: dict[str, str] = field(default_factory=lambda: {name: title for name, (title, _) in SERIES.items()})
    """Stages of a run in words."""


def analysis_section(run: RunDirectory) -> AnalysisSection | None:
    """The section; None where nothing was analyzed; a warning alone where the analysis cannot be read.

    Raises:
        InputError: the outcome of a training stage is damaged.
    """
    try:
        analysis = load_analysis(run.analysis)
    except InputError as error:  # the rest of the report is worth having
        return AnalysisSection(measured="", parts=(), warning=f"{error}.")
    if analysis is None:
        return None
    plots = [*layer_plots(analysis), *head_plots(analysis)]
    grouped = [tuple(plot for plot in plots if plot.title.startswith(titles)) for titles in TITLES]
    tables = [entanglement_table(analysis), flatness_table(analysis), *head_tables(analysis)]
    parts = tuple(MeasurePart(table=table, plots=group) for table, group in zip(tables, grouped, strict=False))
    when = datetime.fromisoformat(analysis.created)
    measured = f"{when.day} {when:%B %Y, %H:%M} UTC"
    return AnalysisSection(measured=measured, parts=parts, warning=_out_of_date(run, analysis))


def layer_plots(analysis: Analysis) -> tuple[Plot, ...]:
    """Entanglement and effective rank by layer, and the spectra of the features."""
    plots = []
    with styled():
        for kind in ("base", "novel"):
            measured = [(stage.name, one) for stage in analysis.stages if (one := _of_kind(stage, kind)) is not None]
            if measured:
                plots.append(_entanglement(kind, measured))
                plots.append(_rank(kind, measured))
        plots.append(_spectra(analysis.stages))
    return tuple(plots)


def head_plots(analysis: Analysis) -> tuple[Plot, ...]:
    """Reliability, accuracy under attack and memorized labels, as far as they were measured."""
    with_head = [stage for stage in analysis.stages if stage.head is not None]
    with_memory = [stage for stage in analysis.stages if stage.memorization is not None]
    plots = []
    with styled():
        if with_head:
            plots.append(_reliability(with_head))
        if with_head and with_head[0].head is not None and with_head[0].head.attacked:
            plots.append(_attack(with_head))
        if with_memory:
            plots.append(_memorization(with_memory))
    return tuple(plots)


TITLES = (("Entanglement",), ("Flatness", "Spectrum"), ("Are the probabilities right?", "Accuracy under attack"), ("Corrupted labels",))
"""Beginnings of the titles of the plots beside each table."""


def _of_kind(stage: StageAnalysis, kind: str) -> Representation | None:
    return stage.base if kind == "base" else stage.novel


def _over_layers(axes: Axes, measured: Sequence[tuple[str, Representation]], metric: Callable[[LayerMeasures], float]) -> None:
    names = [layer.name for layer in measured[0][1].layers]
    for name, one in measured:
        label, color = SERIES[name]
        axes.plot(range(len(names)), [metric(layer) for layer in one.layers], color=COLORS[color], marker="o", markersize=4, label=label)
    axes.set_xticks(range(len(names)), names)


def _entanglement(kind: str, measured: Sequence[tuple[str, Representation]]) -> Plot:
    figure, axes = canvas("", "soft nearest neighbor loss (nats)")
    _over_layers(axes, measured, lambda layer: layer.entanglement)
    chance = measured[0][1].chance
    axes.axhline(chance, color=COLORS["muted"], linestyle=(0, (3, 2)), linewidth=1, label="_")
    axes.annotate(
        "chance", (1, chance), xycoords=("axes fraction", "data"), xytext=(0, 2), textcoords="offset points",
        ha="right", va="bottom", color=COLORS["muted"],
    )  # fmt: skip
    axes.set_ylim(0, 1.12 * max(chance, axes.get_ylim()[1] / 1.05))
    legend_above(axes, columns=2)
    last = "; ".join(f"{SERIES[name][0]} {one.layers[-1].entanglement:.2f}" for name, one in measured)
    return Plot(
        title=f"Entanglement, {kind} classes",
        description=f"Soft nearest neighbor loss of {kind} classes by layer; at the last layer: {last}; chance level {chance:.2f}.",
        figure=figure,
    )


def _rank(kind: str, measured: Sequence[tuple[str, Representation]]) -> Plot:
    figure, axes = canvas("", "effective rank of a class")
    _over_layers(axes, measured, lambda layer: layer.effective_rank)
    axes.set_ylim(bottom=0)
    legend_above(axes, columns=2)
    last = "; ".join(f"{SERIES[name][0]} {one.layers[-1].effective_rank:.1f}" for name, one in measured)
    words = f"Effective rank of the representations of {kind} classes by layer; at the last layer: {last}."
    return Plot(title=f"Flatness, {kind} classes", description=words, figure=figure)


def _spectra(stages: Sequence[StageAnalysis]) -> Plot:
    figure, axes = canvas("principal direction of a class", "fraction of its variance (%)")
    for stage in stages:
        label, color = SERIES[stage.name]
        for kind, one, dashes in (("base", stage.base, "solid"), ("novel", stage.novel, (0, (2, 1.5)))):
            if one is not None:
                fractions = [fraction for fraction in one.layers[-1].fractions if fraction > 0]
                axes.plot(range(1, len(fractions) + 1), fractions, color=COLORS[color], linestyle=dashes, label=f"{label}, {kind}")
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.set_ylim(max(axes.get_ylim()[0], 1e-5), min(axes.get_ylim()[1], 1.0))
    in_percent(axes.yaxis)
    figure.set_size_inches(4.4, 3.0)
    legend_above(axes, columns=2)
    first = "; ".join(f"{SERIES[stage.name][0]} {stage.base.layers[-1].largest_fraction:.0%}" for stage in stages)
    words = f"Fractions of variance by direction within a class, of the features; in the first direction, base classes: {first}."
    return Plot(title="Spectrum of the features", description=words, figure=figure)


def _reliability(stages: Sequence[StageAnalysis]) -> Plot:
    figure, axes = canvas("probability of the predicted class (%)", "accuracy (%)")
    figure.set_size_inches(4.4, 3.2)
    labels = []
    for stage in stages:
        head, (name, color) = stage.head, SERIES[stage.name]
        assert head is not None
        labels.append(f"{name}: error {100 * head.calibration_error:.1f} %")
        draw_reliability(axes, head.bins, COLORS[color], labels[-1])
    frame_reliability(axes)
    words = f"Accuracy against probability of the predicted base class: {'; '.join(labels)}."
    return Plot(title="Are the probabilities right?", description=words, figure=figure)


def _attack(stages: Sequence[StageAnalysis]) -> Plot:
    figure, axes = canvas("step of the attack (levels of 255)", "accuracy (%)")
    words, points = [], [(0.0, 0.0)]
    for stage in stages:
        head, (label, color) = stage.head, SERIES[stage.name]
        assert head is not None
        points = [(0.0, head.accuracy), *head.attacked]
        axes.plot(*zip(*points, strict=True), color=COLORS[color], marker="o", markersize=4, label=label, clip_on=False)
        words.append(f"{label} from {head.accuracy:.0%} to {points[-1][1]:.0%}")
    axes.set_xticks([step for step, _ in points], [f"{step:g}" for step, _ in points])
    axes.set_ylim(0, min(1.0, 1.08 * axes.get_ylim()[1]))
    in_percent(axes.yaxis)
    legend_above(axes, columns=2)
    description = f"Accuracy under a single signed-gradient step of up to {points[-1][0]:g} levels: {'; '.join(words)}."
    return Plot(title="Accuracy under attack", description=description, figure=figure)


def _memorization(stages: Sequence[StageAnalysis]) -> Plot:
    figure, axes = canvas("", "of the images (%)")
    bars = ("wrong label:\nmemorized", "wrong label:\ntrue class", "correct label:\naccuracy")
    width, words = 0.8 / len(stages), []
    for number, stage in enumerate(stages):
        memory, (label, color) = stage.memorization, SERIES[stage.name]
        assert memory is not None
        fractions = [fraction or 0.0 for fraction in (memory.memorized, memory.true_label, memory.clean_accuracy)]
        centers = [bar + (number - (len(stages) - 1) / 2) * width for bar in range(len(bars))]
        drawn = axes.bar(centers, fractions, width=0.92 * width, color=COLORS[color], label=label)
        axes.bar_label(drawn, labels=[f"{100 * fraction:.0f}" for fraction in fractions], fontsize=7, color=COLORS["muted"])
        memorized, true, clean = fractions
        words.append(f"{label}: {memorized:.0%} memorized, {true:.0%} classified as their true class, {clean:.0%} of the others correct")
    axes.set_xticks(range(len(bars)), bars)
    axes.set_ylim(0, 1)
    in_percent(axes.yaxis)
    legend_above(axes, columns=2)
    return Plot(title="Corrupted labels", description=f"Images trained under a wrong label. {'; '.join(words)}.", figure=figure)


def _out_of_date(run: RunDirectory, analysis: Analysis) -> str:
    changed, analyzed = changed_stages(run, analysis), {stage.name for stage in analysis.stages}
    later = [NOUNS[name] for name in changed if name not in analyzed]
    replaced = [NOUNS[name] for name in changed if name in analyzed]
    reasons = [f"measured before {' and '.join(later)}"] if later else []
    reasons += [f"the weights after {' and '.join(replaced)} have changed since"] if replaced else []
    sentence = ", and ".join(reasons)
    return f"{sentence[:1].upper()}{sentence[1:]}; run `s2m2 analyze` again." if reasons else ""
