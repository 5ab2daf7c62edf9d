"""The model card of exported weights: Markdown, with front matter for model hubs."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from s2m2.data.catalog import ImageDatasets
from s2m2.escaping import code, plain
from s2m2.evaluation.results import TaskResults
from s2m2.recipe import Recipe
from s2m2.reports.card_parts import data_table, fact_rows, recipe_sentences, score_rows, selection_sentence
from s2m2.reports.html import selection_sentences, template
from s2m2.reports.tables import markdown_table
from s2m2.runs.checkpoint import load_outcome
from s2m2.runs.directory import STAGES, RunDirectory
from s2m2.runs.loading import LoadedBackbone
from s2m2.runs.provenance import read_provenance

HUB_LICENSES = (
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0",
    "cc-by-nc-nd-4.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "odbl", "openrail", "unlicense",
)  # fmt: skip
"""License identifiers of hubs; other licenses are called `other`, with their words as the name."""
INITIAL = "Their license applies too, and their training data may include classes called novel here."
AFTER = {"pretrain": "after pretraining", "finetune": "after fine-tuning"}


@dataclass(frozen=True, kw_only=True, eq=False)
class ExportedModel:
    """The exported weights, and facts for their card that the run directory does not have."""

    folder: str
    """Name of the folder."""
    trained: LoadedBackbone
    """The weights as loaded from the folder, and the recipe there, with local paths removed."""
    precision: str
    """Type of the stored kernels and matrices."""
    file: str
    """Path of the weights in the folder."""
    file_bytes: int
    file_digest: str
    """SHA-256 of that file, hexadecimal."""
    fingerprint: str
    """SHA-256 over names, types, shapes and values of the backbone's loaded tensors."""
    license: str | None
    data_license: str | None
    results: tuple[TaskResults, ...]
    """Scores of the weights, or of what they were before they were stored in `precision` (`rounded`)."""
    left_out: int
    """Results of the stage in the run that belong to other weights, or to several networks."""
    datasets: ImageDatasets | None
    """The images; None where they are not available."""
    uncounted: str = ""
    """Why `datasets` is None, in words, such as: the dataset x was not at hand."""
    rounded: bool = False
    """The weights differ from the scored ones by rounding."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Flags of the datasets to name when scoring the weights, with a placeholder for each."""


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
    data, dim = recipe.data, trained.backbone.feature_dim
    name = recipe.model.timm or recipe.model.backbone
    images = " and ".join(dict.fromkeys(code(one) for one in _dataset_names(model)))
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
        score_sentences=_score_sentences(model, read_provenance(run), foreign=foreign),
        older=_older_sentence(model.left_out),
        not_measured=_not_measured(model),
        facts=markdown_table(("", ""), fact_rows(run, recipe, trained.stage)),
        command=score_command(model.folder, model.missing),
        folder=code(model.folder),
        dataset_hint=_dataset_hint(model),
        shown=84 if data.size > 32 else 32,
        resized=data.resized_size,
        size=data.size,
        license=_license_sentence(model.license),
    )


def front_matter(model: ExportedModel, *, trained_here: bool) -> dict[str, Any]:
    """License, library and tags, under the keys of model hubs."""
    license_name = model.license or ""
    identifier = license_name.strip().lower()
    listed = identifier in HUB_LICENSES
    recipe = model.trained.recipe
    tags = ["few-shot-learning", "image-classification"]
    if trained_here and recipe.pretrain.objective in ("rotation", "exemplar"):
        tags += ["self-supervised-learning", *(["manifold-mixup", "s2m2"] if model.trained.stage == "finetune" else [])]
    tags += [recipe.model.timm or recipe.model.backbone, *_dataset_names(model)]
    return {
        "license": identifier if listed else "unknown" if model.license is None else "other",
        **({"license_name": " ".join(license_name.split())} if model.license is not None and not listed else {}),
        "library_name": "s2m2",
        "pipeline_tag": "image-feature-extraction",
        "tags": list(dict.fromkeys(tags)),
    }


def _imported(run: RunDirectory, stage: str) -> list[tuple[str, str]]:
    """Sources of imported weights, and their relation to the exported ones."""
    sources = []
    for name in STAGES[: STAGES.index(stage) + 1]:
        outcome = load_outcome(run.outcome(name))
        if outcome is not None and outcome.imported:
            sources.append(("were imported" if name == stage else "were fine-tuned from those that were imported", outcome.imported))
    return sources


def _model_rows(name: str, model: ExportedModel) -> list[tuple[str, str]]:
    config, data, network = model.trained.recipe.model, model.trained.recipe.data, model.trained.backbone
    width = f", {config.width} channels in the first stage" if config.width else ""
    parameters = sum(values.numel() for values in network.parameters())
    return [
        ("backbone", code(name) + (" of timm (`pip install 's2m2[timm]'`)" if config.timm else "") + width),
        ("parameters", f"{parameters:,}"),
        ("features", f"{network.feature_dim:,} per image"),
        ("weights", f"the best of stage {code(model.trained.stage)}"),
        ("images", f"RGB, {data.size} x {data.size} pixels: resized to {data.resized_size}, center cropped"),
        (
            "normalization",
            f"of values in [0, 1]: mean {_numbers(data.normalization[0])}, standard deviation {_numbers(data.normalization[1])}",
        ),
        ("file", f"{code(model.file)}, {model.file_bytes:,} bytes, {model.precision}"),
        ("SHA-256 of the file", code(model.file_digest)),
        ("fingerprint of the backbone", code(model.fingerprint)),
    ]


def _dataset_names(model: ExportedModel) -> list[str]:
    return [model.datasets.base.name if model.datasets is not None else model.trained.recipe.data.path]


def _data_sentence(model: ExportedModel, *, imported: bool, foreign: bool) -> str:
    if imported:
        words = "The weights were not trained in the run that they are exported from, which has no record of what they were trained on."
        return f"{words} The recipe names these images, for scoring:" if model.datasets is not None else words
    if model.datasets is None:
        named = code(model.trained.recipe.data.path)
        return f"Trained on the base classes of {named}. When this was written, {model.uncounted}, so nothing is counted here."
    if foreign:
        return "Trained on base classes, selected on validation classes; the training data of the initial weights is not known here."
    return "Trained on base classes, selected on validation classes; novel classes were kept from both."


def _data_remarks(recipe: Recipe) -> list[str]:
    config, data = recipe.model, recipe.data
    remarks = []
    if data.holdout_fraction:
        remarks.append(f"{100 * data.holdout_fraction:g} % of the images of every base class were held out from training.")
    if data.label_noise:
        remarks.append(f"{100 * data.label_noise:g} % of the training images had a wrong label, on purpose.")
    if config.pretrained:
        remarks.append(f"Training began with the weights that timm downloads for {code(config.timm or '')}. {INITIAL}")
    if config.weights:
        remarks.append(f"Training began with the weights of a file {code(config.weights)}. {INITIAL}")
    return remarks


def _license_sentence(license_name: str | None) -> str:
    return f"{plain(license_name)}." if license_name is not None else "not stated."


def _score_sentences(model: ExportedModel, provenance: Mapping[str, Any], *, foreign: bool) -> list[str]:
    sentences = [
        "Accuracy in percent: mean of the tasks ± half-width of its 95% interval over classes and their images, for other classes of the "
        "kind. These classes again: half-width of the 95% interval over tasks (1.96 std / sqrt(tasks))."
    ]
    if foreign:
        sentences.append("Whether these classes were part of the training data is not known here.")
    else:
        sentences += [f"{plain(sentence)}." for sentence in selection_sentences(model.results, provenance)]
    if model.rounded:
        sentences.append(f"They were measured before the weights were rounded to {model.precision}.")
    return sentences


def _older_sentence(count: int) -> str:
    if not count:
        return ""
    return f"Left out: {count:,} of the run's results, which are older, of other weights, or of an ensemble."


def _not_measured(model: ExportedModel) -> list[str]:
    results, items = model.results, []
    if not any(result.split == "novel" for result in results):
        items.append("Accuracy on novel classes.")
    if results and model.rounded:
        items.append(f"These weights, in {model.precision}: the scores are of the weights before rounding.")
    without_interval = sum(result.class_interval is None for result in results)
    if without_interval:
        items.append(f"The interval over classes of {without_interval:,} of the {len(results):,} scores.")
    items.append("Tasks, classifiers and datasets that are not in the table of scores.")
    items.append("The variation of scores among trainings: this is one training with one seed.")
    items.append("Fairness, robustness, and any use other than classifying images from a few examples.")
    return items


def score_command(folder: str, missing: Mapping[str, str]) -> str:
    """The command that scores the weights in a folder, with a placeholder for each dataset to name."""
    flags = "".join(f" {flag} {word}" for flag, word in missing.items())
    return f"s2m2 evaluate --run {shlex.quote(' '.join(folder.splitlines()))}{flags}"


def _dataset_hint(model: ExportedModel) -> str:
    words = list(dict.fromkeys(model.missing.values()))
    if len(words) < 2:
        return "".join(f" {word} is a folder of images written by `s2m2 prepare`." for word in words)
    return f" {', '.join(words[:-1])} and {words[-1]} are folders of images written by `s2m2 prepare`."


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
