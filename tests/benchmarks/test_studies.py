"""Every study runs: next to nothing of it, from its command line to its report and figure."""

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
from benchmarks.studies.protocol import Findings, Trial, run_trials, subset_table, train
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


def quick(folder: Path, table: Path | None = None) -> list[str]:
    """Flags of a run of seconds."""
    places = [f"--{name}={folder / name}" for name in ("output", "figures", "work")]
    return ["--quick", "--seeds=2", *places, *([f"--table={table}", "--processes=0"] if table else [])]


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_writes_its_report_and_its_figure(name: str, tmp_path: Path, glyph_folder: Path) -> None:
    STUDIES[name](quick(tmp_path, None if name in TOYS else glyph_folder))
    (path,) = (tmp_path / "output").iterdir()
    assert re.fullmatch(name + r"-\d{4}-\d\d-\d\d\.md", path.name)
    text = path.read_text(encoding="utf-8")
    assert "the numbers say nothing" in text
    assert not re.search(r"\bnan\b|\binf\b", text)
    if name not in TOYS:
        assert f"digest {open_dataset(glyph_folder).digest[:12]}. Trials ended from " in text
    linked = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert linked == [f"../figures/{name}.png"]
    with Image.open((path.parent / linked[0]).resolve()) as image:
        assert min(image.size) > 200


def test_a_stopped_study_goes_on_where_it_was(tmp_path: Path, glyph_folder: Path) -> None:
    options = few_shot_options(tmp_path, glyph_folder)
    plan = few_shot.trials(options)[:3]
    asked: list[str] = []

    def measure(trial: Trial) -> Findings:
        asked.append(trial.setting)
        return {"found": trial.setting}

    run_trials("study", plan[:2], measure, options)
    found = run_trials("study", plan, measure, options)
    assert [one["found"] for one in found] == asked == [trial.setting for trial in plan]
    kept = [json.loads(path.read_text()) for path in (options.work / "study").iterdir()]
    assert sorted(one["found"] for one in kept) == sorted(asked)


def test_findings_are_of_images_wherever_they_lie(tmp_path: Path, glyph_folder: Path) -> None:
    (trial, *_) = few_shot.trials(few_shot_options(tmp_path, glyph_folder))
    elsewhere = replace(trial, subset=replace(trial.subset, table="elsewhere"))
    others = replace(trial, subset=replace(trial.subset, digest="0" * 64))
    assert elsewhere.file == trial.file != others.file


@pytest.mark.parametrize("wrong", ["--table=nope", "--longer=0", "--processes=-1", "--seeds=1"])
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


def few_shot_options(folder: Path, table: Path) -> argparse.Namespace:
    return parse(few_shot.__doc__, quick(folder, table), seeds=2)


def test_trials_of_a_seed_start_alike_and_repeat(tmp_path: Path, glyph_folder: Path) -> None:
    first, second = few_shot.trials(few_shot_options(tmp_path, glyph_folder))[:2]
    trained, again, other = train(first), train(first), train(second)
    for one, same in zip(trained.backbone.state_dict().values(), again.backbone.state_dict().values(), strict=True):
        assert torch.equal(one, same)
    assert torch.equal(trained.base.holdout_indices, other.base.holdout_indices)
    ours, theirs = (torch.cat([value.flatten() for value in one.backbone.parameters()]) for one in (trained, other))
    assert not torch.equal(ours, theirs)
    table = subset_table(first.subset)
    assert len(table.rows("base")) == first.subset.base_classes * first.subset.base_images


def test_every_method_spends_the_same_budget() -> None:
    stride = few_shot.FinetuneConfig().auxiliary_stride
    assert {method.passes(stride) for method in few_shot.METHODS.values()} == {12}


def test_fine_tunings_of_a_seed_share_their_first_stage(tmp_path: Path, glyph_folder: Path) -> None:
    options = parse(fast_finetuning.__doc__, quick(tmp_path, glyph_folder), seeds=2, more=fast_finetuning.add_arguments)
    plan = fast_finetuning.trials(options)
    start, *changed = [trial for trial in plan if trial.recipe.seed == 0 and trial.first_stage]
    alone, kept, again = train(replace(start, first_stage="")), train(start), train(start)
    for one, other, third in zip(*(trained.backbone.state_dict().values() for trained in (alone, kept, again)), strict=True):
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
    found = over_seeds(values)
    assert found.mean - found.half == pytest.approx(interval.low)
    assert found.mean + found.half == pytest.approx(interval.high)


def test_entanglement_that_orders_the_places_is_found() -> None:
    tangles, places = [4.0, 3.0, 2.5, 2.0, 1.0], which_layer.SINGLE
    found = {(which_layer.PLAIN, seed): {"entanglement": tangles, "nll": 0.0} for seed in (0, 1)}
    for place, tangle in zip(places, tangles, strict=True):
        for seed in (0, 1):
            found[which_layer.setting_of(place, 1.0), seed] = {"nll": tangle**2}
    mean, p_value, worst, best = which_layer.correlation(found, 1.0, "nll", 2)
    assert (mean.mean, mean.half) == pytest.approx((1.0, 0.0))
    assert p_value == pytest.approx(2 / math.factorial(5))  # as it is, and turned round
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
