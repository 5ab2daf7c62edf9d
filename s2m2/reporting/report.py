"""The report of a run: one page that holds everything it shows, and so can be sent, kept and read anywhere."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2m2.data.catalog import ImageDatasets
from s2m2.evaluation.results import TaskResults, load_results
from s2m2.files import write_text
from s2m2.recipe import Recipe, TrainingConfig, differences, read_recipe
from s2m2.reporting.analysis_section import analysis_section
from s2m2.reporting.detail_plots import projection_plot
from s2m2.reporting.export import scores_csv, scores_markdown
from s2m2.reporting.images import DrawnTask, draw_task, sample_splits
from s2m2.reporting.page import template
from s2m2.reporting.plots import Plot
from s2m2.reporting.score_plots import accuracy_plot, curves
from s2m2.reporting.score_table import CLASSIFIERS, STAGES, ScoreGrid, latest_of_kind, newest_results, paired_change, score_grids
from s2m2.reporting.training_plots import training_plots
from s2m2.reporting.trust import closeup, left_out, reliability_plots, trust_rows
from s2m2.runs.checkpoint import Outcome, load_outcome
from s2m2.runs.directory import RunDirectory
from s2m2.runs.metrics import read_metrics
from s2m2.runs.provenance import read_provenance, trained_on

MAX_HEADLINES = 4
TITLES = {"pretrain": "Stage 1: pretraining", "finetune": "Stage 2: fine-tuning with manifold mixup"}
SELECTION = {
    "novel": "Weights were selected on validation classes; scores are on novel classes, which neither training nor selection has seen.",
    "validation": "Scores are on validation classes, which also selected the weights: good for choosing settings, too kind to report.",
    "base": "Scores are on base classes, which the network was trained on: they say nothing about new classes.",
}
"""What a score means, by the split it was measured on."""


@dataclass(frozen=True, kw_only=True)
class Headline:
    """One score that the page opens with."""

    label: str
    score: str
    interval: str
    note: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """One training stage on the page."""

    title: str
    sentence: str
    plots: tuple[Plot, ...]


def write_report(run: RunDirectory, datasets: ImageDatasets, example: DrawnTask | None = None) -> Path:
    """Write `report.html` from what the run directory holds so far, and return its path; parts that are not there yet are left out.

    The scores also go into `scores.csv` and `scores.md` beside it.

    The datasets have the images of the run; the example is a task to draw with its predictions.

    Raises:
        InputError: the recipe or a result in the directory cannot be read.
    """
    recipe = read_recipe(run.recipe)
    results, older = newest_results(read_results(run))
    grids = score_grids(results)
    latest = latest_of_kind(grids)
    rows, provenance = read_metrics(run.metrics), read_provenance(run)
    page = template("report.html.j2").render(
        title="S2M2 on " + " to ".join(dict.fromkeys((datasets.base.name, datasets.novel.name))),
        subtitle=_subtitle(run, recipe, provenance),
        headlines=[headline for grid in grids[:1] for headline in _headlines(grid)],
        grids=grids,
        selection=[SELECTION[split] for split in dict.fromkeys(result.split for result in results)],
        stages=_stages(run, recipe, rows),
        older=older,
        scatter=[plot for grid in latest for plot in _scatter(grid)],
        curves=[plot for grid in latest for plot in curves(grid)],
        trust=trust_rows(latest),
        reliability=reliability_plots(latest),
        left_out=left_out(latest),
        closeup=closeup(grids, datasets),
        analysis=analysis_section(run),
        projection=projection_plot(example.projection) if example is not None and example.projection is not None else None,
        samples=sample_splits(datasets),
        example=example,
        task=draw_task(example) if example is not None else (),
        changes=_changes(recipe),
        recipe_yaml=run.recipe.read_text(encoding="utf-8"),
        facts=_facts(datasets, provenance),
        provenance=json.dumps(provenance, indent=2, ensure_ascii=False),
        again=command_again(recipe, run),
        classifiers=CLASSIFIERS,
        features=STAGES,
    )
    write_text(run.report, page)
    if results:
        write_text(run.scores_csv, scores_csv(results))
        write_text(run.scores_markdown, scores_markdown(grids))
    return run.report


def read_results(run: RunDirectory) -> list[TaskResults]:
    """All few-shot results of a run, in order of their file names.

    Raises:
        InputError: a file is damaged.
    """
    return [load_results(path) for path in sorted(run.results.glob("*.json"))]


def command_again(recipe: Recipe, run: RunDirectory) -> str:
    """The command that repeats a run in a new directory, for a shell, a flag a line; it needs no file of the old one."""
    flags = [[f"--{path}", *flag_words(value)] for path, value, _ in differences(recipe, Recipe())]
    return " \\\n    ".join(shlex.join(line) for line in (["s2m2", "run", "--run", f"{run.path}-again"], *flags))


def flag_words(value: Any) -> list[str]:
    """A setting as the words that stand after its flag."""
    if isinstance(value, tuple):
        return [word for item in value for word in flag_words(item)]
    return [{None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)]


def stopping_sentence(config: TrainingConfig, outcome: Outcome | None) -> str:
    """How a training stage ended, and which weights it kept."""
    if outcome is None:
        return f"Not finished; at most {_count(config.epochs, 'epoch')}."
    if outcome.imported:
        return f"Not trained here: imported from {outcome.imported}, which states {_count(outcome.epochs, 'epoch')}."
    spent, score = f"in {duration(outcome.seconds)}", f"{100 * outcome.best_score:.2f} %"
    if outcome.stopped_early:
        waited = "the last validation" if config.patience == 1 else f"the last {config.patience} validations"
        reason = f"{waited} brought no new best score (patience {config.patience})"
        ended = f"Stopped after epoch {outcome.epochs} of at most {config.epochs} {spent}: {reason}."
    else:
        ended = f"Trained all {_count(outcome.epochs, 'epoch')} {spent}."
    if outcome.best_epoch == 0:
        return f"{ended} No validation score beat that of the weights it started from, {score}, so these were kept."
    return f"{ended} The weights after epoch {outcome.best_epoch}, with the best validation score of {score}, were kept."


def duration(seconds: float | int) -> str:
    """Seconds as a person says them: `8.4 s`, `3 min 05 s`, `2 h 07 min`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _subtitle(run: RunDirectory, recipe: Recipe, provenance: Mapping[str, Any]) -> str:
    parts = [
        f"run {run.path.name}",
        recipe.model.backbone,
        f"{recipe.pretrain.objective} objective",
        f"seed {recipe.seed}",
        provenance.get("updated", "")[:10],
    ]
    return " · ".join(part for part in parts if part)


def _changes(recipe: Recipe) -> list[tuple[str, str, str]]:
    """Path, value and default of every setting that differs from its default."""
    return [(path, " ".join(flag_words(value)), " ".join(flag_words(default))) for path, value, default in differences(recipe, Recipe())]


def _headlines(grid: ScoreGrid) -> list[Headline]:
    """The scores of the first classifier after the last stage, for as many kinds of task as there is room."""
    classifier, found = grid.rows[0].classifier, []
    for row in grid.rows:
        measured = [result for result in row.results if result is not None]
        if row.classifier != classifier or not measured:
            continue
        last = measured[-1]
        seen = STAGES.get(last.features, last.features)
        note = f"{CLASSIFIERS.get(classifier, classifier)} {'on ' if last.features == 'pixels' else ''}{seen}"
        before = next((result for result in measured if result.features == "pretrain"), None)
        if last.features == "finetune" and before is not None:
            gain, half = paired_change(before, last)
            note += f"; {100 * gain:+.2f} ± {100 * half:.2f} points over pretraining, task by task"
        wide = last.class_interval
        if wide is not None:
            note += f"; ± {100 * wide:.2f} over classes and images too"
        found.append(Headline(label=row.task, score=f"{100 * last.mean:.2f}", interval=f"{100 * last.interval:.2f}", note=note))
    return found[:MAX_HEADLINES]


def _stages(run: RunDirectory, recipe: Recipe, rows: Sequence[Mapping[str, Any]]) -> list[Stage]:
    stages = []
    for config in (recipe.pretrain, recipe.finetune):
        outcome = load_outcome(run.outcome(config.stage))
        plots = training_plots(rows, config.stage, outcome)
        if plots or outcome is not None:
            stages.append(Stage(title=TITLES[config.stage], sentence=stopping_sentence(config, outcome), plots=plots))
    return stages


def _scatter(grid: ScoreGrid) -> Iterable[Plot]:
    for row in grid.rows:
        measured = [result for result in row.results if result is not None]
        if row.classifier == grid.rows[0].classifier and measured:
            yield accuracy_plot(measured)


def _facts(datasets: ImageDatasets, provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and text of what is known about the run; what is not recorded is left out."""
    machine, packages = provenance.get("machine", {}), provenance.get("packages", {})
    times = [
        f"{stage} {duration(facts['seconds'])}" for stage, facts in provenance.items() if isinstance(facts, dict) and "seconds" in facts
    ]
    versions = [f"{name} {number}" for name, number in {"python": provenance.get("python"), **packages}.items() if number]
    facts = {
        "Command": provenance.get("command"),
        "Times": ", ".join(times),
        "Started": provenance.get("started"),
        "Updated": provenance.get("updated"),
        "Trained on": trained_on(provenance, TITLES),
        "Processor": f"{machine['processor']}, {_count(machine['cores'], 'core')}" if machine.get("processor") else "",
        "GPUs": ", ".join(machine.get("gpus", ())) or ("none" if machine else ""),
        "System": machine.get("system"),
        "Versions": ", ".join(versions),
        **_data_facts(datasets),
    }
    return [(label, str(text)) for label, text in facts.items() if text]


def _data_facts(datasets: ImageDatasets) -> dict[str, str]:
    """A line for each dataset, and its digest."""
    roles = {"Data": datasets.base, "Validation data": datasets.validation, "Novel data": datasets.novel, "Query data": datasets.queries}
    facts: dict[str, str] = {}
    for role, dataset in roles.items():
        if dataset is None or (role != "Data" and dataset is datasets.base):
            continue
        count, height, width = dataset.images.shape[:3]
        classes = _count(len(dataset.class_names), "class", "classes")
        facts[role] = f"{dataset.name}: {count:,} images of {width} x {height} pixels, {classes}"
        facts[f"{role} digest"] = f"SHA-256 {dataset.digest}"
    return facts


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
