"""The model card of exported weights: Markdown, with the front matter that model hubs read."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from s2m2.data.catalog import ImageDatasets
from s2m2.evaluation.results import TaskResults
from s2m2.evaluation.trained import STAGES, TrainedBackbone
from s2m2.recipe import Recipe
from s2m2.reporting.card_parts import code, data_table, fact_rows, plain, recipe_sentences, score_rows, selection_sentence
from s2m2.reporting.export import markdown_table
from s2m2.reporting.page import template
from s2m2.reporting.report import SELECTION
from s2m2.runs.checkpoint import load_outcome
from s2m2.runs.directory import RunDirectory

HUB_LICENCES = (
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0",
    "cc-by-nc-nd-4.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "odbl", "openrail", "unlicense",
)  # fmt: skip
"""Identifiers that hubs know; others are called `other`, with their words as the name."""
STARTED = "Their license counts too, and what they were trained on may have had classes that are called novel here."
AFTER = {"pretrain": "after pretraining", "finetune": "after fine-tuning"}


@dataclass(frozen=True, kw_only=True, eq=False)
class ExportedModel:
    """What is given away, and what its card can say of it beside what the run directory holds."""

    folder: str
    """Name of the folder."""
    trained: TrainedBackbone
    """The weights as whoever gets the folder loads them, and the recipe there, without places of this machine."""
    precision: str
    """What kernels and matrices are stored as."""
    file: str
    """Path of the weights in the folder."""
    file_bytes: int
    file_digest: str
    """SHA-256 of that file, hexadecimal."""
    fingerprint: str
    """SHA-256 over names, types, shapes and values of the backbone's tensors as they are loaded."""
    license: str | None
    data_license: str | None
    results: tuple[TaskResults, ...]
    """Scores of the weights before they were stored in `precision`."""
    left_out: int
    """Results of the stage in the run that are of other weights, or of several networks."""
    datasets: ImageDatasets | None
    """The images; None where they are not at hand."""
    uncounted: str = ""
    """Which dataset is not at hand or another one than was scored, in words, where `datasets` is None, such as: the dataset x was not at hand."""
    rounded: bool = False
    """The weights are not bit for bit those that were scored."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Flags of the datasets that whoever scores the weights has to name, with a word in place of each."""


def model_card(run: RunDirectory, model: ExportedModel) -> str:
    """The card of weights of a run.

    Raises:
        InputError: a file of the run is damaged.
    """
    trained, recipe = model.trained, model.trained.recipe
    outcome = load_outcome(run.outcome(trained.stage))
    assert outcome is not None, "an exported stage is finished"
    imported = _imported(run, trained.stage)
    foreign = bool(imported) or recipe.model.pretrained or recipe.model.weights is not None
    data, dim = recipe.data, trained.network.feature_dim
    name = recipe.model.timm or recipe.model.backbone
    images = " and ".join(dict.fromkeys(code(one) for one in _table_names(model)))
    return template("card.md.j2").render(
        front=yaml.safe_dump(front_matter(model, trained_here=not outcome.imported), sort_keys=False, allow_unicode=True),
        title=f"{name}, imported" if outcome.imported else f"{name} trained on {images}, {AFTER[trained.stage]}",
        made="" if outcome.imported else " Trained with the package s2m2.",
        origin="".join(f" Its weights {words} from {code(source)}." for words, source in imported),
        dim=dim,
        model=markdown_table(("", ""), _model_rows(name, model)),
        data_sentence=_data_sentence(model, imported=bool(outcome.imported), foreign=foreign),
        data=data_table(model.datasets) if model.datasets is not None else "",
        data_remarks=_data_remarks(recipe),
        data_license=_license_sentence(model.data_license),
        recipe=recipe_sentences(run, recipe, trained.stage),
        selection=selection_sentence(run, recipe, trained.stage, outcome),
        scores=markdown_table(*score_rows(model.results)) if model.results else "",
        score_sentences=_score_sentences(model, foreign=foreign),
        older=_older_sentence(model.left_out),
        not_measured=_not_measured(model),
        facts=markdown_table(("", ""), fact_rows(run, recipe, trained.stage)),
        command=score_command(model.folder, model.missing),
        folder=code(model.folder),
        table_hint=_table_hint(model),
        shown=84 if data.size > 32 else 32,
        resized=data.resized_size,
        size=data.size,
        license=_license_sentence(model.license),
    )


def front_matter(model: ExportedModel, *, trained_here: bool) -> dict[str, Any]:
    """What model hubs read: license, library and tags, under their names."""
    stated = model.license
    known = stated is not None and stated.strip().lower() in HUB_LICENCES
    name = stated.strip().lower() if stated is not None and known else "unknown" if stated is None else "other"
    recipe = model.trained.recipe
    tags = ["few-shot-learning", "image-classification"]
    if trained_here and recipe.pretrain.objective in ("rotation", "exemplar"):
        tags += ["self-supervised-learning", *(["manifold-mixup", "s2m2"] if model.trained.stage == "finetune" else [])]
    tags += [recipe.model.timm or recipe.model.backbone, *_table_names(model)]
    return {
        "license": name,
        **({"license_name": _line(stated)} if stated is not None and not known else {}),
        "library_name": "s2m2",
        "pipeline_tag": "image-feature-extraction",
        "tags": list(dict.fromkeys(tags)),
    }


def _imported(run: RunDirectory, stage: str) -> list[tuple[str, str]]:
    """Where weights that no training of this run made came from, and what they are to the exported ones."""
    found = []
    for name in STAGES[: STAGES.index(stage) + 1]:
        outcome = load_outcome(run.outcome(name))
        if outcome is not None and outcome.imported:
            found.append(("were imported" if name == stage else "were fine-tuned from those that were imported", outcome.imported))
    return found


def _model_rows(name: str, model: ExportedModel) -> list[tuple[str, str]]:
    config, data, network = model.trained.recipe.model, model.trained.recipe.data, model.trained.network
    width = f", {config.width} channels in the first stage" if config.width else ""
    parameters = sum(values.numel() for values in network.parameters())
    return [
        ("backbone", code(name) + (" of timm (`pip install 's2m2[timm]'`)" if config.timm else "") + width),
        ("parameters", f"{parameters:,}"),
        ("features", f"{network.feature_dim:,} numbers an image"),
        ("weights", f"the best of stage {code(model.trained.stage)}"),
        ("images", f"RGB, {data.size} x {data.size} pixels: resized to {data.resized_size}, center cropped"),
        ("normalization", f"of values from 0 to 1: mean {_numbers(data.mean)}, standard deviation {_numbers(data.std)}"),
        ("file", f"{code(model.file)}, {model.file_bytes:,} bytes, {model.precision}"),
        ("SHA-256 of the file", code(model.file_digest)),
        ("fingerprint of the backbone", code(model.fingerprint)),
    ]


def _table_names(model: ExportedModel) -> list[str]:
    return [model.datasets.base.name if model.datasets is not None else model.trained.recipe.data.path]


def _data_sentence(model: ExportedModel, *, imported: bool, foreign: bool) -> str:
    if imported:
        said = "The weights were not trained in the run that they are exported from, and it has no record of what they were trained on."
        return f"{said} The recipe names these images, to score on:" if model.datasets is not None else said
    if model.datasets is None:
        named = code(model.trained.recipe.data.path)
        return f"Trained on the base classes of {named}. When this was written, {model.uncounted}, so nothing is counted here."
    if foreign:
        return "Trained on base classes, selected on validation classes; what the weights that it began with had seen is not known here."
    return "Trained on base classes, selected on validation classes; novel classes were kept from both."


def _data_remarks(recipe: Recipe) -> list[str]:
    config, data = recipe.model, recipe.data
    remarks = []
    if data.holdout_fraction:
        remarks.append(f"A share of {data.holdout_fraction:g} of the images of every base class was kept from training.")
    if data.label_noise:
        remarks.append(f"A share of {data.label_noise:g} of the training images had a wrong label, on purpose.")
    if config.pretrained:
        remarks.append(f"Training began with the weights that timm downloads for {code(config.timm or '')}. {STARTED}")
    if config.weights:
        remarks.append(f"Training began with the weights of a file {code(config.weights)}. {STARTED}")
    return remarks


def _license_sentence(stated: str | None) -> str:
    return f"{plain(stated)}." if stated is not None else "not stated."


def _score_sentences(model: ExportedModel, *, foreign: bool) -> list[str]:
    sentences = [
        "Accuracy in percent: mean over the tasks ± half the width of its 95% interval over tasks, 1.96 std / sqrt(tasks). Over classes: "
        "half the width of the 95% interval over classes and their images as well."
    ]
    if foreign:
        sentences.append("Whether the weights had seen these classes in training is not known here.")
    else:
        sentences += [SELECTION[split] for split in dict.fromkeys(result.split for result in model.results)]
    if model.rounded:
        sentences.append(f"They were measured before the weights were rounded to {model.precision}.")
    return sentences


def _older_sentence(count: int) -> str:
    if not count:
        return ""
    return f"Left out: {count:,} of the run's results, which are older, of other weights or of an ensemble."


def _not_measured(model: ExportedModel) -> list[str]:
    results, items = model.results, []
    if not any(result.split == "novel" for result in results):
        items.append("Accuracy on novel classes.")
    if results and model.rounded:
        items.append(f"The weights as they lie here, in {model.precision}: the scores are of the weights that they were rounded from.")
    unknown = sum(result.class_interval is None for result in results)
    if unknown:
        items.append(f"The interval over classes of {unknown:,} of the {len(results):,} scores.")
    items.append("Tasks, classifiers and datasets that the dataset of scores does not have.")
    items.append("How much scores vary from one training to the next: this is one training with one seed.")
    items.append("Fairness, robustness, and any use other than telling classes of images apart by a few examples.")
    return items


def score_command(folder: str, missing: Mapping[str, str]) -> str:
    """What scores the weights in a folder, with a word in place of each dataset that is to be named."""
    flags = "".join(f" {flag} {word}" for flag, word in missing.items())
    return f"s2m2 evaluate --run {shlex.quote(' '.join(folder.splitlines()))}{flags}"


def _table_hint(model: ExportedModel) -> str:
    words = list(dict.fromkeys(model.missing.values()))
    if len(words) < 2:
        return "".join(f" {word} is a folder of images that `s2m2 prepare` wrote." for word in words)
    return f" {', '.join(words[:-1])} and {words[-1]} are folders of images that `s2m2 prepare` wrote."


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _line(text: str) -> str:
    return " ".join(text.split())
