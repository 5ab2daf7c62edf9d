"""Tables and sentences of a model card."""

import math
from collections.abc import Sequence
from typing import Any

from s2m2.console import duration
from s2m2.data.catalog import ImageDatasets
from s2m2.data.dataset import SPLITS, ImageDataset, Split
from s2m2.data.standard_datasets import standard_dataset
from s2m2.escaping import code, plain
from s2m2.evaluation.results import TaskResults
from s2m2.recipe import FinetuneConfig, PretrainConfig, Recipe, TrainingConfig
from s2m2.recipe.training import MixConfig
from s2m2.reports.html import stopping_sentence
from s2m2.reports.scores import percent, score_grids
from s2m2.reports.tables import markdown_table
from s2m2.runs.checkpoint import Outcome, load_outcome
from s2m2.runs.directory import RunDirectory
from s2m2.runs.logging import read_metrics
from s2m2.runs.provenance import read_provenance, trained_on
from s2m2.tasks.episodes import task_label

STAGE_NAMES = {"pretrain": "pretraining", "finetune": "fine-tuning"}


def data_table(datasets: ImageDatasets) -> str:
    """Dataset, source and size of each split."""
    header = ("classes of", "dataset", "source", "classes", "images", "stored as", "SHA-256 of the dataset")
    return markdown_table(header, [_split_row(split, datasets.of(split)) for split in SPLITS])


def _split_row(split: Split, dataset: ImageDataset) -> tuple[str, ...]:
    classes, (height, width) = len(dataset.splits.get(split, ())), dataset.images.shape[1:3]
    images = len(dataset.indices(split)) if classes else 0
    return (split, code(dataset.name), _source(dataset), f"{classes:,}", f"{images:,}", f"{height} x {width}", code(dataset.digest))


def _source(dataset: ImageDataset) -> str:
    standard, source = standard_dataset(dataset), dataset.settings.get("source")
    if "drawing" in dataset.settings:
        return "drawn by this package"
    title = standard.title if standard is not None else "own images" if "named" in dataset.settings else ""
    origin = f"prepared from {code(source)}" if isinstance(source, str) else ""
    return ", ".join(part for part in (title, origin) if part) or "not recorded"


def recipe_sentences(run: RunDirectory, recipe: Recipe, stage: str) -> list[str]:
    """The training stages up to the exported one, and how they ended."""
    configs: list[PretrainConfig | FinetuneConfig] = [recipe.pretrain]
    if stage == "finetune":
        configs.append(recipe.finetune)
    return [_stage_sentence(config, load_outcome(run.outcome(config.stage))) for config in configs if run.outcome(config.stage).is_file()]


def _stage_sentence(config: PretrainConfig | FinetuneConfig, outcome: Outcome | None) -> str:
    name = STAGE_NAMES[config.stage].capitalize()
    ended = stopping_sentence(config, outcome)
    if outcome is None or outcome.imported:
        return f"{name}. {plain(ended)}."
    optimizer = config.optimizer
    if isinstance(config, FinetuneConfig) or config.objective == "mixup":
        what = mix_words(config.mix)
    else:
        what = f"objective {code(config.objective)}"
    how = f"batches of {config.batch_size}, {optimizer.name} at a learning rate of {optimizer.learning_rate:g} ({optimizer.schedule})"
    return f"{name}: {what}, {how}, weight decay {optimizer.weight_decay:g}. {ended}"


def mix_words(mix: MixConfig) -> str:
    """Where images are mixed, in a few words."""
    if mix.method == "cutmix":
        return f"CutMix, Beta({mix.alpha:g})"
    stages = [f"stage {stage}" if stage >= 0 else "the features" for stage in mix.stages or ()]
    return f"mixup before {' or '.join(stages) or 'every stage'}, Beta({mix.alpha:g})"


def selection_sentence(run: RunDirectory, recipe: Recipe, stage: str, outcome: Outcome) -> str:
    """The validation score that selected the weights."""
    config: TrainingConfig = recipe.pretrain if stage == "pretrain" else recipe.finetune
    if outcome.best_score < 0:
        return "How these weights were selected is not known."
    validation = config.validation
    tasks = f"{validation.tasks:,} tasks, {task_label(validation.ways, validation.shots)}, classifier {code(validation.classifier)}"
    half = _validation_interval(run, stage, outcome)
    interval = f" ± {100 * half:.2f}" if half is not None else ""
    score = f"{100 * outcome.best_score:.2f}{interval} %"
    if outcome.best_epoch == 0:
        return f"No epoch of the stage exceeded the initial weights of the stage, {score} on validation classes ({tasks}); these were kept."
    return (
        f"Among the epochs of the stage, the weights were kept whose accuracy on validation classes was best: {score} ({tasks}), after "
        f"epoch {outcome.best_epoch}. As the maximum of several scores it is slightly optimistic, and it is not a score of novel classes, "
        "which had no part in the selection."
    )


def _validation_interval(run: RunDirectory, stage: str, outcome: Outcome) -> float | None:
    best = (stage, "validation", outcome.best_epoch, outcome.best_score)
    rows = (row for row in read_metrics(run.metrics) if (row["stage"], row["kind"], row["epoch"], row.get("score")) == best)
    return next(rows, {}).get("interval")


def score_rows(results: Sequence[TaskResults]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of all scores, in the order of the report."""
    header = ("classes", "tasks", "protocol", "queries per class", "number, seed", "features", "classifier", "transforms")
    rows = []
    for grid in score_grids(results):
        for row in grid.rows:
            differing = row.remark.removesuffix(", ".join(next(one for one in row.results if one is not None).transforms)).rstrip(", ")
            rows += [_score_row(result, differing) for result in row.results if result is not None]
    return (*header, "accuracy", "these classes again"), rows


def _score_row(result: TaskResults, differing: str) -> tuple[str, ...]:
    lead = f"{100 * result.mean:.2f}" if result.class_interval is None else percent(result)
    return (
        f"{result.split}, {code(result.dataset)}",
        task_label(result.ways, result.shots),
        result.protocol + (f", Dirichlet({result.concentration:g})" if result.protocol == "dirichlet" else ""),
        f"{result.queries}" if result.queries else "",
        f"{result.tasks:,}, " + (f"file {result.tasks_digest[:8]}" if result.tasks_digest else f"{result.seed}"),
        result.features,
        result.classifier + (f" ({differing})" if differing else ""),
        " ".join(result.transforms) or "none",
        lead,
        f"± {100 * result.interval:.2f}" if math.isfinite(result.interval) else "not known",
    )


def fact_rows(run: RunDirectory, recipe: Recipe, stage: str) -> list[tuple[str, str]]:
    """Seed, durations, hardware and versions, as far as recorded."""
    provenance = read_provenance(run)
    outcomes = {name: load_outcome(run.outcome(name)) for name in STAGE_NAMES if name == "pretrain" or stage == "finetune"}
    trained = {name: outcome for name, outcome in outcomes.items() if outcome is not None and not outcome.imported}
    machine, runtime = provenance.get("machine", {}), provenance.get("runtime", {})
    versions = {"python": provenance.get("python"), **provenance.get("packages", {})}
    facts: dict[str, Any] = {
        "training seed": recipe.seed if trained else None,
        "training time": ", ".join(f"{STAGE_NAMES[name]} {duration(outcome.seconds)}" for name, outcome in trained.items()),
        "training precision": runtime.get("precision") if trained else None,
        "training devices": runtime["devices"] * runtime["nodes"] if runtime and trained else None,
        "training hardware": trained_on(provenance, trained),
        "processor of the last command": _processor(machine),
        "GPUs": ", ".join(machine.get("gpus", ())) or ("none" if machine else None),
        "system": machine.get("system"),
        "versions of the last command": ", ".join(f"{name} {number}" for name, number in versions.items() if number),
        "run started": provenance.get("started") if trained else None,
    }
    return [(label, " ".join(str(text).split())) for label, text in facts.items() if text not in (None, "")]


def _processor(machine: dict[str, Any]) -> str | None:
    return f"{machine['processor']}, {machine['cores']} cores" if machine.get("processor") else None
