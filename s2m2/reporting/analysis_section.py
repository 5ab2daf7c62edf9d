"""What `s2m2 analyse` measured, as a section of the report."""

from dataclasses import dataclass, field

from s2m2.analysis.results import load_analysis
from s2m2.reporting.analysis_plots import SERIES, head_plots, layer_plots
from s2m2.reporting.analysis_tables import MeasureTable, entanglement_table, flatness_table, head_tables
from s2m2.reporting.plots import Plot
from s2m2.runs.directory import RunDirectory


@dataclass(frozen=True, kw_only=True, eq=False)
class MeasurePart:
    """One family of measures."""

    table: MeasureTable
    plots: tuple[Plot, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class AnalysisSection:
    """The section's content."""

    created: str
    parts: tuple[MeasurePart, ...]
    stages: dict[str, str] = field(default_factory=lambda: {name: title for name, (title, _) in SERIES.items()})
    """What a reader calls the stages of a run."""


def analysis_section(run: RunDirectory) -> AnalysisSection | None:
    """The section, or None where nothing was analysed.

    Raises:
        InputError: the analysis in the directory cannot be read.
    """
    analysis = load_analysis(run.analysis)
    if analysis is None:
        return None
    layers, heads = layer_plots(analysis), head_plots(analysis)
    entangled = tuple(plot for plot in layers if plot.title.startswith("Entanglement"))
    remembered = tuple(plot for plot in heads if plot.title == "Corrupted labels")
    shown = [entangled, tuple(plot for plot in layers if plot not in entangled), tuple(plot for plot in heads if plot not in remembered)]
    tables = [entanglement_table(analysis), flatness_table(analysis), *head_tables(analysis)]
    parts = tuple(MeasurePart(table=table, plots=plots) for table, plots in zip(tables, [*shown, remembered], strict=False))
    return AnalysisSection(created=analysis.created, parts=parts)
