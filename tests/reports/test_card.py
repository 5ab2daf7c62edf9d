"""The model card: what hubs read, what people read, and nothing that a name of a user's could turn into markup."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard  # comes with timm

from s2m2.escaping import code, plain
from s2m2.evaluation.results import TaskResults
from s2m2.recipe import DataConfig, FinetuneConfig, ModelConfig, PretrainConfig, Recipe
from s2m2.recipe.training import MixConfig
from s2m2.reports.card import ExportedModel, model_card
from s2m2.reports.card_parts import mix_words, score_rows
from s2m2.runs.checkpoint import save_outcome
from s2m2.runs.directory import RunDirectory
from s2m2.runs.loading import LoadedBackbone, load
from tests.data.one_dataset import one_dataset
from tests.evaluation.random_run import OUTCOME, random_run
from tests.reports.made_up import made_up_dataset, made_up_results

RECIPE = Recipe(
    seed=7,
    data=DataConfig(path="datasets/mine", image_size=32, resize_ratio=1.15),
    model=ModelConfig(width=8),
    finetune=FinetuneConfig(mix=MixConfig(stages=(0, 2))),
)

HOSTILE = "a|b `c`\n# <script>*d*"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return random_run(tmp_path_factory.mktemp("runs") / "mine", RECIPE, "pretrain", "finetune")


@pytest.fixture(scope="module")
def model(run: RunDirectory) -> ExportedModel:
    return ExportedModel(
        folder="exported",
        trained=load(run.path),
        precision="float32",
        file="checkpoints/finetune/best.safetensors",
        file_bytes=1234,
        file_digest="ab" * 32,
        fingerprint="cd" * 32,
        license=None,
        data_license=None,
        results=(),
        left_out=0,
        datasets=one_dataset(made_up_dataset()),
    )


def front(text: str) -> dict[str, Any]:
    _, block, _ = text.split("---\n", 2)
    return yaml.safe_load(block)


def table_under(text: str, heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, its header and rule included; every row has to have as many."""
    lines = text.split(f"## {heading}\n", 1)[1].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.replace(r"\|", "").strip("|").split("|")])
    assert {len(row) for row in rows} == {len(rows[0])}
    return rows


@pytest.mark.parametrize(
    ("license", "expected"),
    [
        (None, {"license": "unknown"}),
        ("Apache-2.0 ", {"license": "apache-2.0"}),
        ("For my\nfriends: no *others*", {"license": "other", "license_name": "For my friends: no *others*"}),
    ],
)
def test_hubs_read_license_library_and_tags(run: RunDirectory, model: ExportedModel, license: str | None, expected: dict[str, str]) -> None:
    text = model_card(run, replace(model, license=license))
    read = front(text)
    assert ModelCard(text).data.to_dict() == read  # the hub's own reader
    assert {key: read[key] for key in read if key.startswith("license")} == expected
    assert read["library_name"] == "s2m2"
    assert {"few-shot-learning", "conv4", "made up"} <= set(read["tags"])


def test_every_part_is_there(run: RunDirectory, model: ExportedModel) -> None:
    text = model_card(run, model)
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    parts = ["Data", "Recipe", "Selection", "Scores", "What was not measured", "Provenance", "Use", "License", "Citation"]
    assert headings == parts
    facts = dict(table_under(text, "Provenance"))
    assert facts["training seed"] == "7"
    assert facts["training time"] == "pretraining 12.5 s, fine-tuning 12.5 s"
    assert "torch " in facts["versions of the last command"]
    assert "Mangla" in text
    assert "mixup before stage 0 or stage 2, Beta(2)" in text
    assert [row[:1] + row[3:5] for row in table_under(text, "Data")[2:]] == [
        ["base", "5", "40"],
        ["validation", "2", "16"],
        ["novel", "3", "24"],
    ]


def test_every_score_has_a_row_with_what_tells_it_from_others(run: RunDirectory, model: ExportedModel) -> None:
    one = made_up_results("finetune", "cosine", 1, 0.6)
    results: tuple[TaskResults, ...] = (
        one,
        replace(one, transforms=("power", "unit")),
        replace(one, settings={"scale": 2.0}),
        replace(one, settings={"scale": 3.0}, transforms=("unit",)),
        replace(one, protocol="dirichlet", concentration=2.0),
        replace(one, protocol="variable", ways=0, shots=0, queries=0),
        replace(one, features="finetune-crops30", details=None),
        replace(one, tasks_digest="e" * 64),
    )
    header, rows = score_rows(results)
    assert len({row[:-2] for row in rows}) == len(results)
    assert {row[header.index("transforms")] for row in rows} == {"none", "power unit", "unit"}
    assert {row[header.index("classifier")] for row in rows} == {"cosine", "cosine (scale=2.0)", "cosine (scale=3.0)"}
    assert {row[-1] for row in rows} == {f"± {100 * one.interval:.2f}"}
    assert {row[-2] for row in rows} == {f"{100 * one.mean:.2f}", f"{100 * one.mean:.2f} ± {100 * one.class_interval:.2f}"}
    assert sum("±" not in row[-2] for row in rows) == sum(result.class_interval is None for result in results) == 2
    text = model_card(run, replace(model, results=results, precision="float16", rounded=True, left_out=3))
    assert len(table_under(text, "Scores")) == 2 + len(results)
    assert "* The interval over classes of 2 of the 8 scores." in text
    assert "* These weights, in float16" in text
    assert "Left out: 3 of the run's results" in text
    assert "* Accuracy on novel classes." not in text


def test_without_images_or_scores_it_says_so(run: RunDirectory, model: ExportedModel) -> None:
    text = model_card(run, replace(model, datasets=None, uncounted="the dataset `mine` was not at hand"))
    assert (
        "Trained on the base classes of `datasets/mine`. When this was written, the dataset `mine` was not at hand, so nothing is" in text
    )
    assert "There are none" in text
    assert "* Accuracy on novel classes." in text


def test_what_others_trained_is_told_apart(tmp_path: Path, model: ExportedModel) -> None:
    run = random_run(tmp_path, RECIPE, "pretrain", "finetune")
    save_outcome(run.outcome("pretrain"), replace(OUTCOME, imported="71_b.tar", best_score=-1.0))
    text = model_card(run, replace(model, results=(made_up_results("finetune", "cosine", 1, 0.6),)))
    assert "Its weights were fine-tuned from those that were imported from `71_b.tar`." in text
    assert "Whether these classes were part of the training data is not known here." in text
    assert "the training data of the initial weights is not known here" in text
    assert "kept from both" not in text
    assert "# conv4 trained on `made up`, after fine-tuning" in text
    assert "Trained with the package s2m2. Its weights were fine-tuned" in text
    assert dict(table_under(text, "Provenance"))["training time"] == "fine-tuning 12.5 s"
    save_outcome(run.outcome("finetune"), replace(OUTCOME, imported="72.tar", best_score=-1.0))
    text = model_card(run, model)
    assert "# conv4, imported" in text
    assert "Trained with" not in text
    assert not {"s2m2", "manifold-mixup", "self-supervised-learning"} & set(front(text)["tags"])
    assert "How these weights were selected is not known." in text
    assert "has no record of what they were trained on" in text
    assert "training seed" not in dict(table_under(text, "Provenance"))


@pytest.mark.parametrize("begun", [{"pretrained": True}, {"weights": "begin.safetensors"}])
def test_weights_that_training_began_with_are_as_foreign_as_imported_ones(
    run: RunDirectory, model: ExportedModel, begun: dict[str, Any]
) -> None:
    own = model_card(run, replace(model, results=(made_up_results("finetune", "cosine", 1, 0.6),)))
    assert "novel classes were kept from both" in own
    assert "is not known here" not in own
    recipe = replace(RECIPE, model=ModelConfig(backbone="timm", timm="test_resnet", **begun))
    trained = LoadedBackbone(model.trained.backbone, recipe, model.trained.stage, run)
    changed = replace(model, trained=trained, results=(made_up_results("finetune", "cosine", 1, 0.6),))
    text = model_card(run, changed)
    assert text.count("is not known here") == 2
    assert "kept from both" not in text
    assert "used neither for training nor for selection" not in text


@pytest.mark.parametrize(("objective", "tagged"), [("rotation", True), ("supervised", False)])
def test_only_a_run_of_the_method_is_tagged_as_such(run: RunDirectory, model: ExportedModel, objective: Any, tagged: bool) -> None:
    recipe = replace(RECIPE, pretrain=PretrainConfig(objective=objective))
    trained = LoadedBackbone(model.trained.backbone, recipe, model.trained.stage, run)
    text = model_card(run, replace(model, trained=trained))
    assert ({"s2m2", "manifold-mixup", "self-supervised-learning"} <= set(front(text)["tags"])) == tagged
    assert "S2M2" not in text


def test_weights_that_no_epoch_beat_are_those_that_the_stage_began_with(tmp_path: Path, model: ExportedModel) -> None:
    run = random_run(tmp_path, RECIPE, "pretrain", "finetune")
    save_outcome(run.outcome("finetune"), replace(OUTCOME, best_epoch=0))
    text = model_card(run, model)
    assert "No epoch of the stage exceeded the initial weights of the stage, 43.21 % on validation classes" in text
    assert "Among the epochs" not in text


def test_names_of_users_stay_names(run: RunDirectory, model: ExportedModel) -> None:
    assert code(HOSTILE) == "`a|b 'c' # <script>*d*`"
    assert plain(HOSTILE) == r"a\|b \`c\` \# \<script\>\*d\*"
    dataset = replace(made_up_dataset(), name=HOSTILE, settings={"source": HOSTILE})
    result = replace(made_up_results("finetune", "cosine", 1, 0.6), dataset=HOSTILE)
    named = replace(model, folder=HOSTILE, license=HOSTILE, data_license=HOSTILE, datasets=one_dataset(dataset), results=(result,))
    text = model_card(run, named)
    assert front(text)["license_name"] == " ".join(HOSTILE.split())
    assert len(table_under(text, "Data")) == 5
    assert len(table_under(text, "Scores")) == 3
    assert not [line for line in text.splitlines() if line.startswith("# <script>")]


@pytest.mark.parametrize(
    ("mix", "words"),
    [
        (MixConfig(), "mixup before every stage, Beta(2)"),
        (MixConfig(stages=(-1,), alpha=0.5), "mixup before the features, Beta(0.5)"),
        (MixConfig(method="cutmix", alpha=1.0), "CutMix, Beta(1)"),
    ],
)
def test_mixing_in_a_few_words(mix: MixConfig, words: str) -> None:
    assert mix_words(mix) == words
