import csv
import io
import shlex
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from s2m2.cli.parsing import list_flags, parser_flags, sort_arguments
from s2m2.errors import InputError
from s2m2.evaluation.results import load_results, read_results, save_results
from s2m2.io import write_text
from s2m2.recipe import DataConfig, FinetuneConfig, Recipe, RuntimeConfig, build_recipe, recipe_parser, recipe_to_yaml
from s2m2.recipe.training import MixConfig
from s2m2.reports.html import command_again, stopping_sentence, write_report
from s2m2.reports.scores import percent, percent_both
from s2m2.runs.directory import RunDirectory
from tests.data.one_dataset import one_dataset
from tests.reports.made_up import FINETUNED, PRETRAINED, RECIPE, made_up_dataset, made_up_results, made_up_run, made_up_task

HEADINGS = (
    "Few-shot accuracy",
    "How far to trust the scores",
    "Class by class",
    "Training",
    "One task and its predictions",
    "The data",
    "Recipe",
)


class Page(HTMLParser):
    """What a page is made of: its tags with attributes, and its text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += data

    def headings(self) -> list[str]:
        return [words for words in HEADINGS if words in self.words]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    dataset = made_up_dataset()
    run = made_up_run(tmp_path_factory.mktemp("runs") / "quick")
    assert write_report(run, one_dataset(dataset), made_up_task(dataset)) == run.report
    return run


@pytest.fixture
def no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots are made and not drawn, which takes half of the time of a report."""
    monkeypatch.setattr("s2m2.reports.html.svg", lambda plot: "<svg></svg>")


@pytest.fixture(scope="module")
def page(run: RunDirectory) -> Page:
    return Page(run.report.read_text(encoding="utf-8"))


def test_the_report_has_every_part(page):
    assert page.headings() == list(HEADINGS)
    training, distributions, shots, reliability, confusion, projection = 2 * 4, 2, 1, 2, 1, 1
    assert sum(tag == "svg" for tag, _ in page.tags) == training + distributions + shots + reliability + confusion + projection


def test_the_report_contains_the_scores_with_their_intervals(run, page):
    results = read_results(run)
    assert len(results) == 12
    for result in results:
        assert percent(result) in page.words
    headline = load_results(next(run.results.glob("novel-finetune-cosine-5way-1shot-*.json")))
    assert f"{100 * headline.mean:.2f} ± {100 * headline.class_interval:.2f} %" in page.words


def test_the_report_says_how_the_stages_ended_and_what_selected_the_weights(page):
    assert (
        "Trained all 8 epochs in 1 min 14 s. The weights after epoch 7, with the best validation score of 54.13 %, were kept." in page.words
    )
    assert (
        f"Stopped after epoch 4 of at most {RECIPE.finetune.epochs} in 31.5 s: no new best score in the last validation (patience 1)."
        in page.words
    )
    assert "Weights were selected on validation classes; scores are on novel classes" in page.words


def test_the_report_names_settings_that_differ_provenance_and_the_command(run, page):
    assert "pretrain.optimizer.schedule" in page.words
    assert "Imaginary CPU 2.4 GHz, 2 cores" in page.words
    assert "torch 2.11.0" in page.words
    assert "d1" * 32 in page.words
    assert "s2m2 run --run runs/made-up --seed 3" in page.words
    assert command_again(RECIPE, run) in page.words
    assert run.recipe.read_text(encoding="utf-8") in page.words


def test_the_report_loads_nothing_and_runs_nothing(run, page):
    source = run.report.read_text(encoding="utf-8")
    assert "http://" not in source
    assert "https://" not in source
    assert "@import" not in source
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,", "data:image/jpeg;base64,"))


def test_every_image_has_a_text_in_its_place(page):
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert all(attributes.get("role") == "img" for attributes in drawings)
    assert sum(tag == "title" for tag, _ in page.tags) == 1 + len(drawings)


def test_a_class_name_that_looks_like_markup_is_text(run, page):
    assert "<script" not in run.report.read_text(encoding="utf-8")
    assert "<script>alert('novel & loud')</script>" in page.words


def test_a_run_without_fine_tuning_or_results_has_a_report_of_what_there_is(tmp_path):
    run = made_up_run(tmp_path / "young", finetuned=False, evaluated=False)
    page = Page(write_report(run, one_dataset(made_up_dataset())).read_text(encoding="utf-8"))
    assert page.headings() == ["Training", "The data", "Recipe"]
    assert "Stage 2" not in page.words


@pytest.mark.usefixtures("no_drawing")
def test_a_run_without_fine_tuning_opens_with_the_score_after_pretraining(tmp_path):
    run = made_up_run(tmp_path / "pretrained", finetuned=False)
    page = Page(write_report(run, one_dataset(made_up_dataset())).read_text(encoding="utf-8"))
    assert "cosine classifier after pretraining" in page.words
    assert "after fine-tuning" not in page.words


def test_a_run_that_has_only_a_recipe_has_a_report(tmp_path):
    run = RunDirectory(tmp_path / "empty")
    write_text(run.recipe, recipe_to_yaml(Recipe()))
    page = Page(write_report(run, one_dataset(made_up_dataset())).read_text(encoding="utf-8"))
    assert page.headings() == ["The data", "Recipe"]
    assert "All settings are defaults." in page.words


def test_a_damaged_result_is_named_and_leaves_the_old_report_unchanged(tmp_path):
    run = made_up_run(tmp_path / "damaged")
    write_text(run.report, "old")
    write_text(run.results / "novel-pixels-cosine-5way-1shot.json", "{")
    with pytest.raises(InputError, match=r"novel-pixels-cosine-5way-1shot\.json"):
        write_report(run, one_dataset(made_up_dataset()))
    assert run.report.read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        RECIPE,
        Recipe(
            data=DataConfig(path="a folder/it's here", mean=(0.5, 0.4, 0.3)),
            finetune=FinetuneConfig(mix=MixConfig(stages=(0, 3))),
            runtime=RuntimeConfig(compile=True, threads=1),
        ),
    ],
)
def test_the_command_to_run_again_has_the_same_recipe(recipe, tmp_path):
    words = shlex.split(command_again(recipe, RunDirectory(tmp_path / "one run")).replace("\\\n", " "))
    parser = recipe_parser()
    parser.add_argument("--run")
    positional, flags = sort_arguments(words[2:], parser_flags(parser), list_flags(parser))
    parsed = parser.parse_args(flags)
    assert positional == []
    assert parsed.pop("run") == str(tmp_path / "one run-again")
    assert build_recipe(parser.instantiate(parsed)) == recipe


def test_stopping_is_told_in_a_sentence():
    config = FinetuneConfig(epochs=30, patience=3)
    stopped = replace(FINETUNED, epochs=9, best_epoch=6)
    assert "no new best score in the last 3 validations (patience 3)" in stopping_sentence(config, stopped)
    assert "that of the initial weights of the stage, 58.62 %, so these were kept" in stopping_sentence(
        config, replace(stopped, best_epoch=0)
    )
    assert stopping_sentence(config, None) == "Not finished; at most 30 epochs."
    assert stopping_sentence(config, replace(PRETRAINED, epochs=1, best_epoch=1)).startswith("Trained all 1 epoch in 1 min 14 s.")


def test_the_report_says_how_far_to_trust_the_scores(page):
    for words in ("12.3", "1.7", "2.5", "73.1", "64.0", "67.0", "A reason why something is missing.", "In brackets"):
        assert words in page.words
    assert "Task 0: 25.0 % correct" in page.words
    assert page.words.count("0 % correct") == 10


def test_the_hardest_and_the_most_confused_classes_are_listed(run, page):
    result = load_results(next(run.results.glob("novel-finetune-cosine-5way-1shot-*.json")))
    hardest = min(result.details.classes, key=lambda entry: entry.right / entry.queries)
    assert f"{100 * hardest.right / hardest.queries:.1f}" in page.words
    assert f"{100 - 100 * hardest.right / hardest.queries:.1f} %" in page.words  # every mistake is the next class


def test_scores_lie_beside_the_report_for_programs_and_for_texts(run):
    rows = list(csv.DictReader(io.StringIO(run.scores_csv.read_text(encoding="utf-8"))))
    results = {(result.features, result.classifier, str(result.shots)): result for result in read_results(run)}
    assert len(rows) == len(results) == 12
    for row in rows:
        result = results[row["features"], row["classifier"], row["shots"]]
        assert float(row["accuracy"]) == result.mean
        assert float(row["interval_over_classes"]) == result.class_interval
        assert (row["temperature"], row["open_set_auroc"], row["fingerprint"]) == ("2.5", "0.731", "f0" * 32)
    lines = run.scores_markdown.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "| task | classifier | raw pixels | after pretraining | after fine-tuning |"
    assert percent_both(results["pretrain", "cosine", "1"]) in lines[2]
    assert "1.96 std / sqrt(tasks)" in lines[-1]


@pytest.mark.usefixtures("no_drawing")
def test_results_of_older_weights_are_left_out_and_counted(tmp_path):
    run = made_up_run(tmp_path / "retrained")
    old = made_up_results("finetune", "cosine", 1, 0.1)
    save_results(run.results, replace(old, fingerprint="e0" * 32, created="2030-01-01T00:00:00+00:00"))
    page = Page(write_report(run, one_dataset(made_up_dataset())).read_text(encoding="utf-8"))
    assert percent(old) not in page.words
    assert "1 result of older weights" in page.words


@pytest.mark.usefixtures("no_drawing")
def test_images_of_other_data_are_not_drawn_as_hard_tasks(tmp_path):
    run = made_up_run(tmp_path / "other")
    page = Page(write_report(run, one_dataset(replace(made_up_dataset(), digest="other"))).read_text(encoding="utf-8"))
    assert "The hardest tasks" not in page.words
    assert "Class by class" in page.words
