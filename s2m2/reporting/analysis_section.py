"""What `s2m2 analyze` measured, as a section of the report."""

from dataclasses import dataclass, field
from datetime import datetime

from s2m2.analysis.results import Analysis, load_analysis
from s2m2.analysis.weights import changed_stages
from s2m2.errors import InputError
from s2m2.reporting.analysis_plots import SERIES, head_plots, layer_plots
from s2m2.reporting.analysis_tables import MeasureTable, entanglement_table, flatness_table, head_tables
from s2m2.reporting.plots import Plot
from s2m2.runs.directory import RunDirectory

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
    """Date and time for a reader; empty where the analysis cannot be read."""
    parts: tuple[MeasurePart, ...]
    warning: str = ""
    """What a reader has to know before all else: that the analysis cannot be read, or is not of the run's weights."""
    stages: dict[str, str] = field(default_factory=lambda: {name: title for name, (title, _) in SERIES.items()})
    """What a reader calls the stages of a run."""


def analysis_section(run: RunDirectory) -> AnalysisSection | None:
    """The section, or None where nothing was analyzed; of an analysis that cannot be read, a warning alone.

    Raises:
        InputError: the outcome of a training stage is damaged.
    """
    try:
        analysis = load_analysis(run.analysis)
    except InputError as error:  # a report has more to show, and comes after hours of work
        return AnalysisSection(measured="", parts=(), warning=f"{error}.")
    if analysis is None:
        return None
    layers, heads = layer_plots(analysis), head_plots(analysis)
    entangled = tuple(plot for plot in layers if plot.title.startswith("Entanglement"))
    remembered = tuple(plot for plot in heads if plot.title == "Corrupted labels")
    shown = [entangled, tuple(plot for plot in layers if plot not in entangled), tuple(plot for plot in heads if plot not in remembered)]
    tables = [entanglement_table(analysis), flatness_table(analysis), *head_tables(analysis)]
    parts = tuple(MeasurePart(table=table, plots=plots) for table, plots in zip(tables, [*shown, remembered], strict=False))
    return AnalysisSection(measured=_readable(analysis.created), parts=parts, warning=_out_of_date(run, analysis))


def _readable(time: str) -> str:
    when = datetime.fromisoformat(time)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def _out_of_date(run: RunDirectory, analysis: Analysis) -> str:
    changed, measured = changed_stages(run, analysis), {stage.name for stage in analysis.stages}
    came = [NOUNS[name] for name in changed if name not in measured]
    other = [NOUNS[name] for name in changed if name in measured]
    found = [f"Measured before {' and '.join(came)}"] if came else []
    found += [f"measured on other weights after {' and '.join(other)} than the run has now"] if other else []
    sentence = ", and ".join(found)
    return f"{sentence[:1].upper()}{sentence[1:]}; run `s2m2 analyze` again." if found else ""
