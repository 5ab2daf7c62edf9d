"""The report of a run: one page that holds everything it shows, and so can be sent, kept and read anywhere."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from s2m2.console import count, duration
from s2m2.data.catalog import ImageDatasets
from s2m2.errors import InputError
from s2m2.evaluation.results import TaskResults, newest_results, read_results
from s2m2.io import write_text
from s2m2.recipe import Recipe, TrainingConfig, differences, read_recipe
from s2m2.reports.analysis_section import analysis_section
from s2m2.reports.images import DrawnTask, projection_plot, sample_splits, task_tiles
from s2m2.reports.plots import Plot, accuracy_curves, distributions, svg, training_plots
from s2m2.reports.scores import CLASSIFIERS, FEATURES, ScoreGrid, latest_of_kind, paired_change, score_grids
from s2m2.reports.tables import scores_csv, scores_markdown
from s2m2.reports.trust import closeup, left_out, reliability_plots, trust_rows
from s2m2.runs.checkpoint import Outcome, load_outcome
from s2m2.runs.directory import RunDirectory
from s2m2.runs.expectation import ExpectedStage, read_expectation
from s2m2.runs.logging import read_metrics
from s2m2.runs.provenance import read_provenance, trained_on

MARKDOWN = ".md.j2"
"""Suffix of the templates of Markdown."""
MAX_HEADLINES = 4
TITLES = {"pretrain": "Stage 1: pretraining", "finetune": "Stage 2: fine-tuning with manifold mixup"}
SELECTION = {
    "novel": "Weights were selected on validation classes; scores are on novel classes, used neither for training nor for selection.",
    "validation": "Scores are on validation classes, which also selected the weights: suited to choosing settings, but optimistic.",
    "base": "Scores are on base classes, which the network was trained on: they say nothing about new classes.",
}
"""Meaning of a score, by the split it was measured on."""


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A score at the top of the page."""

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


def template(name: str, package: str = "s2m2.reports") -> Template:
    """A template in the folder `templates` of a package, which may include those of `reports`; undefined variables are errors.

    HTML is escaped. Markdown is not, as HTML's escapes mean other things there: names by users come to it as code or escaped.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(one) for one in dict.fromkeys((package, "s2m2.reports"))]),
        autoescape=lambda file: not (file or "").endswith(MARKDOWN),  # noqa: S701 (HTML is escaped)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg"] = lambda plot: Markup(svg(plot))  # noqa: S704 (made by this package, titles escaped)
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["count"] = count
    return environment.get_template(name)


def write_report(run: RunDirectory, datasets: ImageDatasets, example: DrawnTask | None = None) -> Path:
    """Write `report.html` from the content of the run directory so far, and return its path; missing parts are left out.

    The scores are also written to `scores.csv` and `scores.md` beside it.

    Args:
        datasets: the images of the run.
        example: a task to show with its predictions.

    Raises:
        InputError: the recipe or a result in the directory cannot be read.
    """
    recipe = read_recipe(run.recipe)
    results, older = newest_results(read_results(run))
    grids = score_grids(results)
    latest = latest_of_kind(grids)
    rows, provenance = read_metrics(run.metrics), read_provenance(run)
    if results:  # first: they are what counts
        write_text(run.scores_csv, scores_csv(results))
        write_text(run.scores_markdown, scores_markdown(grids))
    page = template("report.html.j2").render(
        title="S2M2 on " + " to ".join(dict.fromkeys((datasets.base.name, datasets.novel.name))),
        subtitle=_subtitle(run, recipe, provenance),
        headlines=[headline for grid in grids[:1] for headline in _headlines(grid)],
        grids=grids,
        selection=selection_sentences(results, provenance),
        stages=_stages(run, recipe, rows),
        older=older,
        distributions=[plot for grid in latest for plot in distributions(grid)],
        curves=[plot for grid in latest for plot in accuracy_curves(grid)],
        trust=trust_rows(latest),
        reliability=reliability_plots(latest),
        left_out=left_out(latest),
        closeup=closeup(grids, datasets),
        analysis=analysis_section(run),
        projection=projection_plot(example.projection) if example is not None and example.projection is not None else None,
        samples=sample_splits(datasets),
        example=example,
        task=task_tiles(example) if example is not None else (),
        changes=_changes(recipe),
        recipe_yaml=run.recipe.read_text(encoding="utf-8"),
        facts=_facts(datasets, provenance),
        provenance=json.dumps(provenance, indent=2, ensure_ascii=False),
        again=command_again(recipe, run),
        classifiers=CLASSIFIERS,
        features=FEATURES,
    )
    write_text(run.report, page)
    return run.report


def command_again(recipe: Recipe, run: RunDirectory) -> str:
    """The shell command that repeats a run in a new directory without any file of the old one, a flag per line."""
    flags = [[f"--{path}", *flag_words(value)] for path, value, _ in differences(recipe, Recipe())]
    return " \\\n    ".join(shlex.join(line) for line in (["s2m2", "run", "--run", f"{run.path}-again"], *flags))


def flag_words(value: Any) -> list[str]:
    """A setting as the words after its flag."""
    if isinstance(value, tuple):
        return [word for item in value for word in flag_words(item)]
    return [{None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)]


def stopping_sentence(config: TrainingConfig, outcome: Outcome | None) -> str:
    """How a training stage ended, and which weights it kept."""
    if outcome is None:
        return f"Not finished; at most {count(config.epochs, 'epoch')}."
    if outcome.imported:
        return f"Not trained here: imported from {outcome.imported}, which states {count(outcome.epochs, 'epoch')}."
    spent, score = f"in {duration(outcome.seconds)}", f"{100 * outcome.best_score:.2f} %"
    if outcome.stopped_early:
        last = "the last validation" if config.patience == 1 else f"the last {config.patience} validations"
        ended = (
            f"Stopped after epoch {outcome.epochs} of at most {config.epochs} {spent}: no new best score in {last} "
            f"(patience {config.patience})."
        )
    else:
        ended = f"Trained all {count(outcome.epochs, 'epoch')} {spent}."
    if outcome.best_epoch == 0:
        return f"{ended} No validation score exceeded that of the initial weights of the stage, {score}, so these were kept."
    return f"{ended} The weights after epoch {outcome.best_epoch}, with the best validation score of {score}, were kept."


def _subtitle(run: RunDirectory, recipe: Recipe, provenance: Mapping[str, Any]) -> str:
    parts = [
        f"run {run.path.name}",
        recipe.model.backbone,
        f"{recipe.pretrain.objective} objective",
        f"seed {recipe.seed}",
        provenance.get("updated", "")[:10],
    ]
    return " · ".join(part for part in parts if part)


def selection_sentences(results: Sequence[TaskResults], provenance: Mapping[str, Any]) -> list[str]:
    """What the scores mean, by their splits; where images were trained on, a warning in place of that."""
    seen = provenance.get("seen", {})
    return list(dict.fromkeys(f"Warning: {seen[one.data_digest]}." if one.data_digest in seen else SELECTION[one.split] for one in results))


def _changes(recipe: Recipe) -> list[tuple[str, str, str]]:
    """Path, value and default of every setting that differs from its default."""
    return [(path, " ".join(flag_words(value)), " ".join(flag_words(default))) for path, value, default in differences(recipe, Recipe())]


def _headlines(grid: ScoreGrid) -> list[Headline]:
    """The scores of the first classifier after the last stage, for the first kinds of task."""
    classifier, headlines = grid.rows[0].classifier, []
    for row in grid.rows:
        measured = [result for result in row.results if result is not None]
        if row.classifier != classifier or not measured:
            continue
        last = measured[-1]
        features = FEATURES.get(last.features, last.features)
        note = f"{CLASSIFIERS.get(classifier, classifier)} {'on ' if last.features == 'pixels' else ''}{features}"
        before = next((result for result in measured if result.features == "pretrain"), None)
        if last.features == "finetune" and before is not None:
            gain, half = paired_change(before, last)
            note += f"; {100 * gain:+.2f} ± {100 * half:.2f} points over pretraining, paired by task"
        half_width, class_interval = last.interval, last.class_interval
        if class_interval is not None:
            note += f"; over classes and images, ± {100 * last.interval:.2f} for these classes again"
            half_width = class_interval
        headlines.append(Headline(label=row.task, score=f"{100 * last.mean:.2f}", interval=f"{100 * half_width:.2f}", note=note))
    return headlines[:MAX_HEADLINES]


def _stages(run: RunDirectory, recipe: Recipe, rows: Sequence[Mapping[str, Any]]) -> list[Stage]:
    stages, expected = [], _expected_stages(run)
    for config in (recipe.pretrain, recipe.finetune):
        outcome = load_outcome(run.outcome(config.stage))
        plots = training_plots(rows, config.stage, outcome, expected.get(config.stage))
        if plots or outcome is not None:
            stages.append(Stage(title=TITLES[config.stage], sentence=stopping_sentence(config, outcome), plots=plots))
    return stages


def _expected_stages(run: RunDirectory) -> Mapping[str, ExpectedStage]:
    """What the recipe should give; nothing where that is not known, or its file is damaged, of which the training has warned."""
    try:
        return read_expectation(run.expected).stages
    except InputError:
        return {}


def _facts(datasets: ImageDatasets, provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and text of every recorded fact about the run."""
    machine, packages = provenance.get("machine", {}), provenance.get("packages", {})
    times = [f"{name} {duration(value['seconds'])}" for name, value in provenance.items() if isinstance(value, dict) and "seconds" in value]
    versions = [f"{name} {number}" for name, number in {"python": provenance.get("python"), **packages}.items() if number]
    facts = {
        "Command": provenance.get("command"),
        "Times": ", ".join(times),
        "Started": provenance.get("started"),
        "Updated": provenance.get("updated"),
        "Trained on": trained_on(provenance, TITLES),
        "Processor": f"{machine['processor']}, {count(machine['cores'], 'core')}" if machine.get("processor") else "",
        "GPUs": ", ".join(machine.get("gpus", ())) or ("none" if machine else ""),
        "System": machine.get("system"),
        "Versions": ", ".join(versions),
        **_data_facts(datasets),
    }
    return [(label, str(text)) for label, text in facts.items() if text]


def _data_facts(datasets: ImageDatasets) -> dict[str, str]:
    """One line per dataset, and its digest."""
    roles = {"Data": datasets.base, "Validation data": datasets.validation, "Novel data": datasets.novel, "Query data": datasets.queries}
    facts: dict[str, str] = {}
    for role, dataset in roles.items():
        if dataset is None or (role != "Data" and dataset is datasets.base):
            continue
        images, height, width = dataset.images.shape[:3]
        classes = count(len(dataset.class_names), "class", "classes")
        facts[role] = f"{dataset.name}: {count(images, 'image')} of {width} x {height} pixels, {classes}"
        facts[f"{role} digest"] = f"SHA-256 {dataset.digest}"
    return facts
