import io
from dataclasses import replace

import numpy as np
from rich.console import Console

from s2m2.analysis.measurements import save_analysis, weights_digest
from s2m2.io import write_text
from s2m2.recipe import Recipe, recipe_to_yaml
from s2m2.reports.analysis_section import SERIES, analysis_section, head_plots, layer_plots
from s2m2.reports.analysis_tables import analysis_tables, entanglement_table, flatness_table, head_tables
from s2m2.reports.html import write_report
from s2m2.reports.plots import svg
from s2m2.runs.checkpoint import Outcome, save_outcome
from s2m2.runs.directory import RunDirectory
from tests.data.one_dataset import one_dataset
from tests.reports.made_up import made_up_dataset
from tests.reports.made_up_analysis import made_up_analysis

ANALYSIS = made_up_analysis()


def printed(analysis) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(analysis_tables(analysis))
    return console.file.getvalue()


def lines_of(plot) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    axes = plot.figure.axes[0]
    return {str(line.get_label()): line.get_data() for line in axes.lines if not str(line.get_label()).startswith("_")}


def test_the_tables_state_every_measure_and_fit_a_terminal():
    text = printed(ANALYSIS)
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= 80
    flat = " ".join(text.split())
    for stage in ANALYSIS.stages:
        for one in (stage.base, stage.novel):
            assert all(f"{layer.entanglement:.3f}" in flat and f"{layer.effective_rank:.1f}" in flat for layer in one.layers)
        if stage.head is not None:
            assert f"{100 * stage.head.accuracy:.1f}" in flat
            assert all(f"{100 * accuracy:.1f}" in flat for _, accuracy in stage.head.attacked)
    for words in ("62.5", "12.5", "87.5", "400 images trained under a wrong label", "600 held-out images of 20 base classes", "3.028"):
        assert words in flat


def test_the_tables_say_which_images_were_measured():
    on_trained = replace(ANALYSIS, base_from="trained", head_from="trained", settings={**ANALYSIS.settings, "temperature": 12.5})
    flat = " ".join(printed(on_trained).split())
    assert "600 training images of 20 base classes; 600 images of 20 novel classes, not used for selection" in flat
    assert "2,000 training images, as none were held out: optimistic" in flat
    assert "at temperature 12.5" in flat


def test_what_was_not_measured_has_no_table_and_no_plot():
    bare = made_up_analysis(headed=False, novel=False)
    assert head_tables(bare) == []
    assert head_plots(bare) == ()
    assert [plot.title for plot in layer_plots(bare)] == [
        "Entanglement, base classes",
        "Flatness, base classes",
        "Spectrum of the features",
    ]
    assert "novel" not in printed(bare)
    assert len(head_tables(made_up_analysis(corrupted=False))) == 1


def test_groups_of_columns_are_counted():
    assert entanglement_table(ANALYSIS).groups == (("base", 3), ("novel", 3))
    assert flatness_table(ANALYSIS).groups == (("initial", 4), ("pretrain", 4), ("finetune", 4))


def test_the_plots_show_each_stage_of_the_run():
    plots = {plot.title: plot for plot in (*layer_plots(ANALYSIS), *head_plots(ANALYSIS))}
    for stage in ANALYSIS.stages:
        label = SERIES[stage.name][0]
        layers = [layer.entanglement for layer in stage.base.layers]
        np.testing.assert_allclose(lines_of(plots["Entanglement, base classes"])[label][1], layers)
        np.testing.assert_allclose(lines_of(plots["Spectrum of the features"])[f"{label}, novel"][1], stage.novel.layers[-1].fractions)
        if stage.head is not None:
            attacked = lines_of(plots["Accuracy under attack"])[label]
            np.testing.assert_allclose(np.transpose(attacked), [(0.0, stage.head.accuracy), *stage.head.attacked])
            reliability = lines_of(plots["Are the probabilities right?"])[f"{label}: error 5.0 %"]
            np.testing.assert_allclose(reliability[0][5:] - reliability[1][5:], 0.05)
    heights = [patch.get_height() for patch in plots["Corrupted labels"].figure.axes[0].patches]
    assert heights == [0.625, 0.125, 0.875] * 2
    assert all(svg(plot).startswith("<svg") for plot in plots.values())


def test_the_report_has_a_section_of_the_analysis(tmp_path):
    run = RunDirectory(tmp_path / "run")
    write_text(run.recipe, recipe_to_yaml(Recipe()))
    datasets = one_dataset(made_up_dataset())
    assert "What the network has learned" not in write_report(run, datasets).read_text(encoding="utf-8")
    save_analysis(run.analysis, ANALYSIS)
    page = write_report(run, datasets).read_text(encoding="utf-8")
    assert "What the network has learned" in page
    assert page.count("<svg") == page.count('role="img"><title>') == 8
    for words in (
        "Entanglement of classes",
        "Flatness of classes",
        "Predictions of base classes",
        "Corrupted labels",
        "20 November 2026, 10:11 UTC",
    ):
        assert words in page
    section = analysis_section(run)
    assert [len(part.plots) for part in section.parts] == [2, 3, 2, 1]


def test_a_damaged_analysis_is_one_line_of_the_report(tmp_path):
    run = RunDirectory(tmp_path / "run")
    write_text(run.recipe, recipe_to_yaml(Recipe()))
    write_text(run.analysis, "{")
    page = write_report(run, one_dataset(made_up_dataset())).read_text(encoding="utf-8")
    assert "analysis.json is damaged" in page
    assert "`s2m2 analyze` replaces it." in page
    assert "Measured on" not in page
    assert analysis_section(RunDirectory(tmp_path / "other")) is None


def finish(run, name, content):
    write_text(run.best(name), content)
    save_outcome(run.outcome(name), Outcome(epochs=1, best_epoch=1))


def test_an_analysis_of_other_weights_says_so(tmp_path):
    run = RunDirectory(tmp_path / "run")
    finish(run, "pretrain", "weights")
    initial, pretrain, _ = ANALYSIS.stages
    fresh = replace(ANALYSIS, stages=(initial, replace(pretrain, fingerprint=weights_digest(run, "pretrain"))))
    save_analysis(run.analysis, fresh)
    assert analysis_section(run).warning == ""
    finish(run, "finetune", "more weights")
    assert analysis_section(run).warning == "Measured before fine-tuning; run `s2m2 analyze` again."
    finish(run, "pretrain", "other weights")
    both = "Measured before fine-tuning, and the weights after pretraining have changed since; run `s2m2 analyze` again."
    assert analysis_section(run).warning == both
    run.outcome("finetune").unlink()
    run.outcome("pretrain").unlink()
    after = "The weights after pretraining have changed since; run `s2m2 analyze` again."
    assert analysis_section(run).warning == after
    run.best("pretrain").unlink()
    save_outcome(run.outcome("pretrain"), Outcome(epochs=1, best_epoch=1))
    assert analysis_section(run).warning == after


def collapsed(one, layers):
    flat = {
        "effective_rank": 0.0,
        "largest_fraction": 0.0,
        "directions": 0.0,
        "within": 0.0,
        "fractions": (0.0,),
        "flat_classes": one.classes,
    }
    return replace(one, layers=tuple(replace(layer, **flat) if layer.layer in layers else layer for layer in one.layers))


def test_a_collapse_is_stated():
    last = ANALYSIS.stages[-1]
    some = replace(ANALYSIS, stages=(*ANALYSIS.stages[:-1], replace(last, base=collapsed(last.base, {4}))))
    assert flatness_table(some).rows[5][-4:] == ("flat", "", "", "0.0")
    assert "left out of the means: 20 of 20 base classes at stage 4 (finetune)." in flatness_table(some).caption
    assert "Flat" not in flatness_table(ANALYSIS).caption
    assert "flat" in printed(some)
    everything = tuple(
        replace(stage, base=collapsed(stage.base, range(5)), novel=collapsed(stage.novel, range(5))) for stage in ANALYSIS.stages
    )
    for analysis in (some, replace(ANALYSIS, stages=everything)):
        assert all(svg(plot).startswith("<svg") for plot in layer_plots(analysis))


def test_each_kind_of_classes_has_its_own_bound_of_directions():
    stages = tuple(replace(stage, novel=replace(stage.novel, images=90)) for stage in ANALYSIS.stages)
    caption = flatness_table(replace(ANALYSIS, stages=stages)).caption
    assert "30 images of a base class span at most 29 directions, 4.5 images of a novel class span at most 3.5 directions" in caption


def test_an_attack_is_mentioned_only_where_there_was_one():
    stages = tuple(replace(stage, head=stage.head and replace(stage.head, attacked=())) for stage in ANALYSIS.stages)
    assert "Attack" in head_tables(ANALYSIS)[0].caption
    assert "Attack" not in head_tables(replace(ANALYSIS, stages=stages))[0].caption
