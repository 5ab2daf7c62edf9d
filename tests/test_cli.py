"""The command line: help without torch, every wrong input one clear line and exit code 2, and nothing left behind."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from s2m2.arguments import UsageError, sort_arguments
from s2m2.cli import COMMANDS, main
from s2m2.recipe import Recipe, read_recipe
from tests.integration.tiny import tiny_flags

MISSING = "/no/such/place"


def test_help_and_settings_need_no_torch() -> None:
    for call in (["--help"], ["run", "--help"], ["prepare", "--help"], ["export", "--help"]):
        code = f"import sys, s2m2.cli\ntry: s2m2.cli.main({call})\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
        finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert finished.returncode == 0, finished.stderr
        assert "usage: s2m2" in finished.stdout


@pytest.mark.parametrize(
    ("command", "flag"), [("run", "--seed"), ("run", "--finetune.mix.alpha"), ("prepare", "--workers"), ("export", "--precision")]
)
def test_help_gives_meaning_and_default_of_every_flag(capsys: pytest.CaptureFixture[str], command: str, flag: str) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    entries = re.split(r"\n  (?=--)", capsys.readouterr().out)
    settings = [
        entry for entry in entries if entry.startswith("--") and " CONFIG" not in entry.split("\n")[0] and "print_config" not in entry
    ]
    assert any(entry.startswith(f"{flag} ") for entry in settings)
    for entry in settings:
        assert re.search(r"[a-z]{3,}.*[.)]\s", entry, re.DOTALL), entry
        assert "default:" in entry or "by default" in entry or "required" in entry, entry


def test_the_overview_lists_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--pretrain.epoch", "3"], "pretrain.epoch"),
        (["--pretrain.epochs", "three"], "pretrain.epochs"),
        (["--pretrain.epochs", "0"], "--pretrain.epochs is 0"),
        (["--pretrain.epochs"], "--pretrain.epochs needs a value"),
        (["--model.backbone", "vgg"], "model.backbone"),
        (["--data.image_size", "27"], "--data.image_size is 27"),
        (["--data.path", MISSING], MISSING),
        (["--evaluate.ways", "5", "x"], "evaluate.ways"),
        (["--evaluate.ways", "1"], "--evaluate.ways"),
        (["--evaluate.ways", "500"], "500"),
        (["--evaluate.queries", "500"], "queries"),
        (["--pretrain.batch_size", "100000"], "batch size of 100000"),
        (["--finetune.mix.stages", "0", "17"], "--finetune.mix.stages has 17"),
        (["--pretrain.validation.ways", "90"], "90"),
        (["--runtime.accelerator", "cuda"], "--runtime.accelerator is cuda"),
        (
            ["--finetune.validation.classifier", "calibrated"],
            "--finetune.validation.classifier is calibrated, which draws on base features",
        ),
        (["--evaluate.protocols", "fixed", "some"], "evaluate.protocols"),
        (["--evaluate.transforms", "unit", "whitened"], "evaluate.transforms"),
        ([f"{MISSING}.yaml"], f"{MISSING}.yaml"),
        (["one.yaml", "two.yaml"], "one.yaml and two.yaml"),
        (["--model.dropout", "0.5"], "--model.dropout"),
        (["--seed", "-1"], "--seed is -1"),
        (["--finetune.epochs", "0"], "--evaluate.features is pretrain finetune, but must be without finetune"),
        (["--pretrain.mix.alpha", "1"], "--pretrain.objective is rotation"),
        (["--pretrain.bn_recalibration_images", "8"], "--pretrain.bn_recalibration_images is 8"),
        (["--data.holdout_fraction", "1"], "--data.holdout_fraction is 1"),
        (["--pretrain.objective", "exemplar", "--finetune.batch_size", "4"], "exemplar needs two"),
    ],
)
def test_wrong_input_is_one_line_with_exit_code_2_and_leaves_nothing(
    glyph_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], names: str
) -> None:
    import torch

    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    run = tmp_path / "run"
    assert main(["run", *tiny_flags(glyph_folder, run), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("s2m2 run: ")
    assert error.count("\n") == 1
    assert names in error
    assert not run.exists()


def test_the_printed_settings_are_a_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--seed", "4", "--print_config"])
    (tmp_path / "recipe.yaml").write_text(capsys.readouterr().out)
    assert read_recipe(tmp_path / "recipe.yaml") == Recipe(seed=4)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["bogus"], "s2m2: no command bogus; there are prepare, "),
        (["prepare", "somewhere"], "s2m2 prepare: needs --output"),
        (["export"], "s2m2 export: needs --run, --output"),
        (
            ["export", "--run", "a", "--output", "b", "--precision", "int8"],
            "--precision: expected one of ['stored', 'float32', 'float16', 'bfloat16']",
        ),
        (["run", "--pretrain.epochs", "abc"], "--pretrain.epochs: expected int. Got value: abc"),
        (["run", "--runtime.accelerator", "tpu"], "--runtime.accelerator: expected one of ['auto', 'cpu', 'cuda', 'mps']"),
    ],
)
def test_errors_speak_of_flags_and_commands(capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("name", "says"), [("finetune", "no finished pretraining"), ("evaluate", "has not finished that stage")])
def test_a_stage_before_its_time_says_what_comes_first(
    glyph_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, says: str
) -> None:
    assert main([name, *tiny_flags(glyph_folder, tmp_path / "run")]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "text", ["pretrain:\n  epoch: 3\n", "pretrain: [", "- 1\n", "pretrain:\n  epochs: none at all\n", "\x00", "seed: \udcff"]
)
def test_a_wrong_recipe_is_one_line_that_names_the_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_bytes(text.encode(errors="surrogateescape"))
    assert main(["run", str(recipe), "--run", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(recipe) in error
    assert not (tmp_path / "run").exists()


def test_a_run_directory_of_another_recipe_is_refused(glyph_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", *tiny_flags(glyph_folder, tmp_path / "run")]) == 0
    capsys.readouterr()
    assert main(["pretrain", *tiny_flags(glyph_folder, tmp_path / "run", pretrain__epochs="7")]) == 2
    assert "holds a run with pretrain.epochs 2, not 7" in capsys.readouterr().err


def test_a_truncated_table_is_named(glyph_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "table"
    table.mkdir()
    for file in glyph_folder.iterdir():
        (table / file.name).write_bytes(file.read_bytes()[: None if file.suffix == ".json" else 5000])
    assert main(["run", *tiny_flags(table, tmp_path / "run")]) == 2
    assert str(table) in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_lists_may_be_written_with_spaces_commas_or_brackets() -> None:
    lists = {"--evaluate.ways"}
    assert sort_arguments(["--evaluate.ways", "5", "10", "--seed", "3"], lists) == ([], ["--evaluate.ways", "[5, 10]", "--seed", "3"])
    assert sort_arguments(["--evaluate.ways", "[5,10]"], lists) == ([], ["--evaluate.ways", "[5,10]"])
    assert sort_arguments(["a.yaml", "--seed=3"], lists) == (["a.yaml"], ["--seed", "3"])
    assert sort_arguments(["--seed", "3", "a.yaml"], lists) == (["a.yaml"], ["--seed", "3"])
    assert sort_arguments(["--evaluate.ways", "5", "10", "a.yaml"], lists) == (["a.yaml"], ["--evaluate.ways", "[5, 10]"])
    assert sort_arguments(["--seed", "-1"], lists) == ([], ["--seed", "-1"])
    with pytest.raises(UsageError, match="--seed needs a value"):
        sort_arguments(["--seed", "--run", "x"], lists)


@pytest.mark.parametrize("words", ["CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED"])
def test_a_full_device_is_one_line(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(*given: object, **settings: object) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr("s2m2.commands.stages.open_session", full)
    assert main(["run", "--run-dir", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("s2m2 run: out of device memory; ")
    assert error.count("\n") == 1
