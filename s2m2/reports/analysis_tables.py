"""The measurements of `s2m2 analyze` as tables, for the terminal and for the report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from s2m2.analysis.measurements import Analysis, StageAnalysis
from s2m2.analysis.representation import LayerMeasures, Representation

FLATNESS: dict[str, Callable[[LayerMeasures], str]] = {
    "rank": lambda layer: f"{layer.effective_rank:.1f}" if _varies(layer) else "flat",
    "first": lambda layer: f"{100 * layer.largest_fraction:.1f}" if _varies(layer) else "",
    "95%": lambda layer: f"{layer.directions:.1f}" if _varies(layer) else "",
    "within": lambda layer: f"{100 * layer.within:.1f}",
}
"""Metrics of a spectrum: effective rank, percentage of the variance in the first direction, directions that hold 95% of it, and variance
within classes in percent. Where no class varies, only the last exists, and is 0."""
MEANINGS = {
    "rank": "effective rank, exp of the entropy of the fractions of variance in a class",
    "first": "percentage of it in the first direction",
    "95%": "directions that hold 95% of it",
    "within": "variance within classes (% of the total)",
}


@dataclass(frozen=True, kw_only=True)
class MeasureTable:
    """One family of measures."""

    title: str
    header: tuple[tuple[str, str], ...]
    """Of each column, the heading over a group of columns, and its own."""
    rows: tuple[tuple[str, ...], ...]
    """Cells; the first names the row. A row of one cell begins a section."""
    caption: str

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """Headings over groups of columns, and the number of columns of each."""
        return tuple((name, len(list(columns))) for name, columns in groupby(self.header, key=lambda column: column[0]))


def analysis_tables(analysis: Analysis) -> RenderableType:
    """The tables for the terminal; the report has two more metrics of each spectrum."""
    tables = [entanglement_table(analysis), flatness_table(analysis, ("rank", "first")), *head_tables(analysis)]
    return Group(*(part for table in tables for part in (_rendered(table), Text(table.caption, style="table.caption"))))


def entanglement_table(analysis: Analysis) -> MeasureTable:
    """Soft nearest neighbor loss by layer."""
    kinds = _kinds(analysis)
    names = [layer.name for layer in analysis.stages[0].base.layers]
    rows = [
        (name, *(f"{stage.layers[number].entanglement:.3f}" for _, stages in kinds for stage in stages))
        for number, name in enumerate(names)
    ]
    rows.append(("chance", *(f"{stage.chance:.3f}" for _, stages in kinds for stage in stages)))
    temperature = analysis.settings["temperature"]
    at = "at the minimizing temperature of each" if temperature is None else f"at temperature {temperature:g}"
    return MeasureTable(
        title="Entanglement of classes",
        header=tuple((kind, stage.name) for kind, _ in kinds for stage in analysis.stages),
        rows=tuple(rows),
        caption=f"Soft nearest neighbor loss in nats, {at}; 0: the neighbors of every image are of its own class; chance: an "
        f"uninformative representation. {_images(analysis)}",
    )


def flatness_table(analysis: Analysis, metrics: Sequence[str] = tuple(FLATNESS)) -> MeasureTable:
    """Spread of the variance within classes over directions, by layer."""
    rows: list[tuple[str, ...]] = []
    for kind, stages in _kinds(analysis):
        rows.append((kind,))
        for number, layer in enumerate(stages[0].layers):
            rows.append((layer.name, *(FLATNESS[metric](stage.layers[number]) for stage in stages for metric in metrics)))
    meanings = "; ".join(f"{metric}: {MEANINGS[metric]}" for metric in metrics)
    return MeasureTable(
        title="Flatness of classes",
        header=tuple((stage.name, metric) for stage in analysis.stages for metric in metrics),
        rows=tuple(rows),
        caption=f"{meanings}. Means over classes; {_bounds(analysis)}.{_flat(analysis)}",
    )


def head_tables(analysis: Analysis) -> list[MeasureTable]:
    """Predictions of the class head, and memorized labels, as far as they were measured."""
    tables = []
    with_head = [(stage, stage.head) for stage in analysis.stages if stage.head is not None]
    if with_head:
        steps = tuple(f"{epsilon:g}/255" for epsilon, _ in with_head[0][1].attacked)
        rows = []
        for stage, head in with_head:
            attacked = (f"{100 * accuracy:.1f}" for _, accuracy in head.attacked)
            metrics = (f"{100 * head.accuracy:.1f}", f"{head.nll:.3f}", f"{100 * head.calibration_error:.1f}", *attacked)
            rows.append((stage.name, *metrics))
        header = [("", "accuracy"), ("", "NLL"), ("", "ECE"), *(("attack", step) for step in steps)]
        attack = " Attack: accuracy after one signed-gradient step against the true class." if steps else ""
        caption = f"In percent; NLL: negative log-likelihood in nats; ECE: expected calibration error. {_measured_on(analysis)}{attack}"
        tables.append(MeasureTable(title="Predictions of base classes", header=tuple(header), rows=tuple(rows), caption=caption))
    with_memory = [stage for stage in analysis.stages if stage.memorization is not None]
    return [*tables, _memorization_table(with_memory)] if with_memory else tables


def _varies(layer: LayerMeasures) -> bool:
    return layer.effective_rank > 0


def _bounds(analysis: Analysis) -> str:
    """Maximum number of directions for each kind of classes: images per class, less 1."""
    sizes = [(kind, stages[0].images / stages[0].classes) for kind, stages in _kinds(analysis)]
    return ", ".join(f"{round(size, 1):g} images of a {kind} class span at most {round(size - 1, 1):g} directions" for kind, size in sizes)


def _flat(analysis: Analysis) -> str:
    """Number of classes without variance, and where, as a sentence; empty where all vary."""
    collapsed = [
        f"{layer.flat_classes} of {representation.classes} {kind} classes at {layer.name} ({stage.name})"
        for stage in analysis.stages
        for kind, representation in (("base", stage.base), ("novel", stage.novel))
        if representation is not None
        for layer in representation.layers
        if layer.flat_classes
    ]
    return f" Flat, each a single point, and left out of the means: {'; '.join(collapsed)}." if collapsed else ""


def _measured_on(analysis: Analysis) -> str:
    """Images of the class head, as a sentence."""
    count = next(stage.head.images for stage in analysis.stages if stage.head is not None)
    if analysis.head_from == "held out":
        return f"Measured on {count:,} held-out images of base classes."
    return f"Measured on {count:,} training images, as none were held out: optimistic."


def _memorization_table(stages: Sequence[StageAnalysis]) -> MeasureTable:
    memories = [(stage.name, stage.memorization) for stage in stages if stage.memorization is not None]
    rows = []
    for name, memory in memories:
        fractions = (memory.memorized, memory.true_label, memory.clean_accuracy)
        rows.append((name, *("" if fraction is None else f"{100 * fraction:.1f}" for fraction in fractions)))
    one = memories[0][1]
    return MeasureTable(
        title="Corrupted labels",
        header=(("wrong label", "memorized"), ("wrong label", "true class"), ("correct label", "accuracy")),
        rows=tuple(rows),
        caption=f"In percent of {one.corrupted:,} images trained under a wrong label, and of {one.clean:,} under the correct one.",
    )


def _kinds(analysis: Analysis) -> list[tuple[str, list[Representation]]]:
    """The representations of all stages, of base and of novel classes."""
    novel = [stage.novel for stage in analysis.stages if stage.novel is not None]
    return [("base", [stage.base for stage in analysis.stages]), *([("novel", novel)] if novel else [])]


def _images(analysis: Analysis) -> str:
    base, novel = analysis.stages[0].base, analysis.stages[0].novel
    origin = "training" if analysis.base_from == "trained" else "held-out"
    text = f"{base.images:,} {origin} images of {base.classes} base classes"
    return f"{text}; {novel.images:,} images of {novel.classes} novel classes, not used for selection." if novel else f"{text}."


def _rendered(table: MeasureTable) -> Table:
    rendered = Table(title=table.title, title_style="bold")
    rendered.add_column("", no_wrap=True)
    for group, name in table.header:
        rendered.add_column(f"{group}\n{name}", justify="right")
    for row in table.rows:
        if len(row) == 1:
            rendered.add_section()
        rendered.add_row(*row, style="bold" if len(row) == 1 else "")
    return rendered
