"""What was measured of a run's representations and predictions, as tables for the terminal and for the page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from s2m2.analysis.representation import LayerMeasures, Representation
from s2m2.analysis.results import Analysis, StageAnalysis

FLATNESS: dict[str, Callable[[LayerMeasures], str]] = {
    "rank": lambda one: f"{one.effective_rank:.1f}" if _varies(one) else "flat",
    "first": lambda one: f"{100 * one.largest_share:.1f}" if _varies(one) else "",
    "95%": lambda one: f"{one.directions:.1f}" if _varies(one) else "",
    "within": lambda one: f"{100 * one.within:.1f}",
}
"""Figures of a spectrum: effective rank, share of the first direction in percent, directions that hold 95%, variance within classes in
percent. Where no class varies, there is only the last one, which is 0."""


@dataclass(frozen=True, kw_only=True)
class MeasureTable:
    """One family of measures."""

    title: str
    header: tuple[tuple[str, str], ...]
    """Of each column, what spans several of them, and its own name."""
    rows: tuple[tuple[str, ...], ...]
    """Cells; the first one names the row. A row of one cell begins a section."""
    caption: str

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """What spans several columns, and how many."""
        return tuple((name, len(list(columns))) for name, columns in groupby(self.header, key=lambda column: column[0]))


def _varies(layer: LayerMeasures) -> bool:
    """Whether any class has variance in a layer."""
    return layer.effective_rank > 0


def analysis_tables(analysis: Analysis) -> RenderableType:
    """The tables for the terminal; the page has two more figures of each spectrum."""
    tables = [entanglement_table(analysis), flatness_table(analysis, ("rank", "first")), *head_tables(analysis)]
    return Group(*(part for table in tables for part in (_rendered(table), Text(table.caption, style="table.caption"))))


def entanglement_table(analysis: Analysis) -> MeasureTable:
    """Soft nearest neighbor losses, layer by layer."""
    kinds = _kinds(analysis)
    names = [layer.name for layer in analysis.stages[0].base.layers]
    rows = [
        (name, *(f"{one.layers[number].entanglement:.3f}" for _, stages in kinds for one in stages)) for number, name in enumerate(names)
    ]
    rows.append(("chance", *(f"{one.chance:.3f}" for _, stages in kinds for one in stages)))
    temperature = analysis.settings["temperature"]
    at = "at the temperature that makes each least" if temperature is None else f"at temperature {temperature:g}"
    return MeasureTable(
        title="Entanglement of classes",
        header=tuple((kind, stage.name) for kind, _ in kinds for stage in analysis.stages),
        rows=tuple(rows),
        caption=f"Soft nearest neighbor loss in nats, {at}: 0 where every class keeps to itself; "
        f"chance: of representations that tell nothing. {_images(analysis)}",
    )


def flatness_table(analysis: Analysis, figures: Sequence[str] = tuple(FLATNESS)) -> MeasureTable:
    """How the variance within classes is spread over directions, layer by layer."""
    meanings = {
        "rank": "exp of the entropy of the shares of variance in a class",
        "first": "share in the first direction (%)",
        "95%": "directions that hold 95% of it",
        "within": "variance within classes (% of all)",
    }
    rows: list[tuple[str, ...]] = []
    for kind, stages in _kinds(analysis):
        rows.append((kind,))
        for number, layer in enumerate(stages[0].layers):
            rows.append((layer.name, *(FLATNESS[figure](stage.layers[number]) for stage in stages for figure in figures)))
    return MeasureTable(
        title="Flatness of classes",
        header=tuple((stage.name, figure) for stage in analysis.stages for figure in figures),
        rows=tuple(rows),
        caption="; ".join(f"{figure}: {meanings[figure]}" for figure in figures)
        + f". Means over classes; {_bounds(analysis)}.{_flat(analysis)}",
    )


def _bounds(analysis: Analysis) -> str:
    """How many directions there can be, of each kind of classes: the mean over classes of the images of a class, less 1."""
    items = [(kind, stages[0].images / stages[0].classes) for kind, stages in _kinds(analysis)]
    return ", ".join(
        f"{round(count, 1):g} images of a {kind} class span {round(count - 1, 1):g} directions at most" for kind, count in items
    )


def _flat(analysis: Analysis) -> str:
    """How many classes do not vary, and where, as a sentence; empty where all do."""
    found = [
        f"{layer.flat_classes} of {representation.classes} {kind} classes at {layer.name} ({stage.name})"
        for stage in analysis.stages
        for kind, representation in (("base", stage.base), ("novel", stage.novel))
        if representation is not None
        for layer in representation.layers
        if layer.flat_classes
    ]
    return f" Flat, each a single point, and left out of the means: {'; '.join(found)}." if found else ""


def head_tables(analysis: Analysis) -> list[MeasureTable]:
    """Predictions of the class head, and labels learned by heart, as far as they were measured."""
    tables = []
    headed = [(stage, stage.head) for stage in analysis.stages if stage.head is not None]
    if headed:
        steps = tuple(f"{epsilon:g}/255" for epsilon, _ in headed[0][1].attacked)
        rows = []
        for stage, head in headed:
            attacked = (f"{100 * accuracy:.1f}" for _, accuracy in head.attacked)
            figures = (f"{100 * head.accuracy:.1f}", f"{head.nll:.3f}", f"{100 * head.calibration_error:.1f}", *attacked)
            rows.append((stage.name, *figures))
        header = [("", "accuracy"), ("", "NLL"), ("", "ECE"), *(("attack", step) for step in steps)]
        attack = " Attack: one signed-gradient step against the true class." if steps else ""
        caption = f"In percent, NLL in nats. {measured_on(analysis)}{attack}"
        tables.append(MeasureTable(title="Predictions of base classes", header=tuple(header), rows=tuple(rows), caption=caption))
    remembering = [stage for stage in analysis.stages if stage.memorization is not None]
    return [*tables, _memorization_table(remembering)] if remembering else tables


def measured_on(analysis: Analysis) -> str:
    """Which images the class head was measured on, as a sentence."""
    count = next(stage.head.images for stage in analysis.stages if stage.head is not None)
    if analysis.head_from == "held out":
        return f"Measured on {count:,} images of base classes that training did not see."
    return f"Measured on {count:,} images that training saw, as none were held out: too kind."


def _memorization_table(stages: Sequence[StageAnalysis]) -> MeasureTable:
    rows = []
    for stage in stages:
        found = stage.memorization
        assert found is not None
        shares = (found.given_label, found.true_label, found.clean_accuracy)
        rows.append((stage.name, *("" if share is None else f"{100 * share:.1f}" for share in shares)))
    found = stages[0].memorization
    assert found is not None
    return MeasureTable(
        title="Corrupted labels",
        header=(("wrong label", "learned by heart"), ("wrong label", "true class"), ("right label", "recognized")),
        rows=tuple(rows),
        caption=f"In percent of {found.corrupted:,} images trained under a wrong label, and of {found.clean:,} under the right one.",
    )


def _kinds(analysis: Analysis) -> list[tuple[str, list[Representation]]]:
    """The representations of all stages, of base and of novel classes."""
    novel = [stage.novel for stage in analysis.stages if stage.novel is not None]
    return [("base", [stage.base for stage in analysis.stages]), *([("novel", novel)] if novel else [])]


def _images(analysis: Analysis) -> str:
    base, novel = analysis.stages[0].base, analysis.stages[0].novel
    seen = "which training saw" if analysis.base_from == "trained" else "which training did not see"
    text = f"{base.images:,} images of {base.classes} base classes, {seen}"
    return f"{text}; {novel.images:,} of {novel.classes} novel classes, which nothing was selected on." if novel else f"{text}."


def _rendered(table: MeasureTable) -> Table:
    drawn = Table(title=table.title, title_style="bold")
    drawn.add_column("", no_wrap=True)
    for group, name in table.header:
        drawn.add_column(f"{group}\n{name}", justify="right")
    for row in table.rows:
        if len(row) == 1:
            drawn.add_section()
        drawn.add_row(*row, style="bold" if len(row) == 1 else "")
    return drawn
