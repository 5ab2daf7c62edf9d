"""A smoke test of every study, from its command line to its report and figure."""

import argparse
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from scipy.stats import ttest_1samp

from benchmarks.studies import corrupted_labels, fast_finetuning, fast_recipe, few_shot, spiral, virtual_points, which_layer
from benchmarks.studies.arguments import parse
from benchmarks.studies.protocol import Findings, Trial, run_trials, subset_dataset, train
from benchmarks.studies.reporting import over_seeds
from s2m2.data.dataset import open_dataset

pytestmark = pytest.mark.usefixtures("one_thread")
STUDIES: dict[str, Callable[[Sequence[str]], None]] = {
    "corrupted_labels": corrupted_labels.main,
    "fast_finetuning": fast_finetuning.main,
    "fast_recipe": fast_recipe.main,
    "few_shot": few_shot.main,
    "spiral": spiral.main,
    "virtual_points": virtual_points.main,
    "which_layer": which_layer.main,
}
TOYS = {"spiral", "virtual_points"}


def quick(folder: Path, dataset: Path | None = None) -> list[str]:
    """Flags of a run of seconds."""
    folders = [f"--{name}={folder / name}" for name in ("output", "figures", "work")]
    return ["--quick", "--seeds=2", *folders, *([f"--dataset={dataset}", "--processes=0"] if dataset else [])]


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_writes_its_report_and_its_figure(name: str, tmp_path: Path, glyph_folder: Path) -> None:
    STUDIES[name](quick(tmp_path, None if name in TOYS else glyph_folder))
    (path,) = (tmp_path / "output").iterdir()
    assert re.fullmatch(name + r"-\d{4}-\d\d-\d\d\.md", path.name)
    text = path.read_text(encoding="utf-8")
    assert "the numbers are meaningless" in text
    assert not re.search(r"\bnan\b|\binf\b", text)
    if name not in TOYS:
        assert f"digest {open_dataset(glyph_folder).digest[:12]}. Trials ended from " in text
    links = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert links == [f"../figures/{name}.png"]
    with Image.open((path.parent / links[0]).resolve()) as image:
        assert min(image.size) > 200


def test_a_stopped_study_resumes(tmp_path: Path, glyph_folder: Path) -> None:
    options = few_shot_options(tmp_path, glyph_folder)
    plan = few_shot.trials(options)[:3]
    measured: list[str] = []

    def measure(trial: Trial) -> Findings:
        measured.append(trial.setting)
        return {"setting": trial.setting}

    run_trials("study", plan[:2], measure, options)
    findings = run_trials("study", plan, measure, options)
    assert [one["setting"] for one in findings] == measured == [trial.setting for trial in plan]
    saved = [json.loads(path.read_text()) for path in (options.work / "study").iterdir()]
    assert sorted(one["setting"] for one in saved) == sorted(measured)


def test_the_path_of_the_images_does_not_shape_the_digest_of_a_trial(tmp_path: Path, glyph_folder: Path) -> None:
    (trial, *_) = few_shot.trials(few_shot_options(tmp_path, glyph_folder))
    elsewhere = replace(trial, subset=replace(trial.subset, dataset="elsewhere"))
    others = replace(trial, subset=replace(trial.subset, digest="0" * 64))
    assert elsewhere.file == trial.file != others.file


@pytest.mark.parametrize("wrong", ["--dataset=nope", "--longer=0", "--processes=-1", "--seeds=1"])
def test_a_wrong_flag_is_one_line(
    wrong: str, tmp_path: Path, glyph_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        few_shot.main([*quick(tmp_path, glyph_folder), wrong])
    assert ended.value.code == 2
    usage, error = capsys.readouterr().err.split("error: ")
    assert "usage" in usage
    assert re.fullmatch(f"{wrong.partition('=')[0]}: .+\n", error)
    assert not list(tmp_path.iterdir())


def few_shot_options(folder: Path, dataset: Path) -> argparse.Namespace:
    return parse(few_shot.__doc__, quick(folder, dataset), seeds=2)


def test_trials_of_a_seed_start_alike_and_repeat(tmp_path: Path, glyph_folder: Path) -> None:
    first, second = few_shot.trials(few_shot_options(tmp_path, glyph_folder))[:2]
    trained, again, other = train(first), train(first), train(second)
    for one, same in zip(trained.backbone.state_dict().values(), again.backbone.state_dict().values(), strict=True):
        assert torch.equal(one, same)
    assert torch.equal(trained.base.holdout_indices, other.base.holdout_indices)
    first_weights, second_weights = (torch.cat([value.flatten() for value in one.backbone.parameters()]) for one in (trained, other))
    assert not torch.equal(first_weights, second_weights)
    dataset = subset_dataset(first.subset)
    assert len(dataset.indices("base")) == first.subset.base_classes * first.subset.base_images


def test_every_method_spends_the_same_budget() -> None:
    stride = few_shot.FinetuneConfig().auxiliary_stride
    assert {method.passes(stride) for method in few_shot.METHODS.values()} == {12}


def test_fine_tunings_of_a_seed_share_their_first_stage(tmp_path: Path, glyph_folder: Path) -> None:
    options = parse(fast_finetuning.__doc__, quick(tmp_path, glyph_folder), seeds=2, more=fast_finetuning.add_arguments)
    plan = fast_finetuning.trials(options)
    start, *changed = [trial for trial in plan if trial.recipe.seed == 0 and trial.first_stage]
    alone, saved, again = train(replace(start, first_stage="")), train(start), train(start)
    for one, other, third in zip(*(trained.backbone.state_dict().values() for trained in (alone, saved, again)), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, third)
    assert {trial.first_stage for trial in changed} == {start.first_stage}
    unshared, shared = train(replace(changed[0], first_stage="")), train(changed[0])
    for one, other in zip(*(trained.backbone.state_dict().values() for trained in (unshared, shared)), strict=True):
        assert torch.equal(one, other)


def test_a_longer_first_stage_sees_as_many_images() -> None:
    recipe = fast_finetuning.recipe_of(argparse.Namespace(quick=False, longer=1, width=8), 0, {})
    assert fast_finetuning.passes(recipe.finetune) == 5
    assert fast_finetuning.longer_first_stage(recipe).pretrain.epochs == recipe.pretrain.epochs + 5


def test_interval_over_seeds_is_that_of_the_t_test() -> None:
    values = [0.31, 0.35, 0.29, 0.4]
    interval = ttest_1samp(values, 0).confidence_interval(0.95)
    mean = over_seeds(values)
    assert mean.mean - mean.half == pytest.approx(interval.low)
    assert mean.mean + mean.half == pytest.approx(interval.high)


def test_entanglement_that_orders_the_positions_is_detected() -> None:
    tangles, positions = [4.0, 3.0, 2.5, 2.0, 1.0], which_layer.SINGLE
    results = {(which_layer.PLAIN, seed): {"entanglement": tangles, "nll": 0.0} for seed in (0, 1)}
    for position, tangle in zip(positions, tangles, strict=True):
        for seed in (0, 1):
            results[which_layer.setting_of(position, 1.0), seed] = {"nll": tangle**2}
    mean, p_value, worst, best = which_layer.correlation(results, 1.0, "nll", 2)
    assert (mean.mean, mean.half) == pytest.approx((1.0, 0.0))
    assert p_value == pytest.approx(2 / math.factorial(5))  # the order itself, and its reverse
    assert (worst, best) == (2, 2)


DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "mixup.md"


def test_numbers_of_the_document_stand_in_the_reports() -> None:
    reports = "".join(path.read_text(encoding="utf-8") for path in (DOCUMENT.parents[1] / "benchmarks/studies/reports").glob("*.md"))
    stated = re.findall(r"[+-]?[\d.]+ ± [\d.]+\d", DOCUMENT.read_text(encoding="utf-8"))
    assert len(stated) > 10
    assert not [number for number in stated if number not in reports]


def test_links_of_the_document_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:)(.*?)\)", DOCUMENT.read_text(encoding="utf-8"))
    assert len(targets) > 8
    assert not [target for target in targets if not (DOCUMENT.parent / target).exists()]


def test_code_of_the_document_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, str(DOCUMENT), "exec"), names)
    assert names["backbone"].stages[0][0].weight.grad is not None
