"""The command line: help without torch that fits a screen, every wrong input one clear line and exit code 2, and nothing left behind."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from s2m2.cli import main
from s2m2.cli.parsing import UsageError, command_parser, sort_arguments
from s2m2.cli.setting_list import settings_of
from s2m2.cli.subcommands import COMMANDS, MAIN_COMMANDS, SECTIONS
from s2m2.recipe import Recipe, read_recipe, recipe_parser
from tests.integration.tiny import tiny_flags

MISSING = "/no/such/place"
FLAGS = Path(__file__).with_name("flags.txt")
"""All flags. To renew it after a wanted change: `uv run python -m tests.test_cli`."""


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    """The one line that a wrong call prints."""
    assert main(arguments) == code
    error = capsys.readouterr().err
    assert error.startswith("s2m2")
    assert error.count("\n") == 1
    return error


def flag_list() -> str:
    """Flags of the recipe, then those of each command and the sections that its help shows."""
    lines = ["recipe", *(f"  --{one.flag}" for one in settings_of(recipe_parser(add_help=False)))]
    recipe = set(lines)
    for name, command in COMMANDS.items():
        lines += [f"{name}: {' '.join(command.sections)}".rstrip(": ")]
        if name != "settings":
            flags = (f"  --{one.flag}" for one in settings_of(command_parser(name, command)))
            lines += [flag for flag in flags if not command.sections or flag not in recipe]
    return "\n".join(lines) + "\n"


def test_the_flags_are_those_of_the_list() -> None:
    assert flag_list() == FLAGS.read_text(encoding="utf-8"), f"{test_the_flags_are_those_of_the_list.__name__}: see FLAGS"


HELP = (
    ["--help"], ["run", "--help"], ["run", "--help.all"], ["prepare", "--help"], ["export", "-h"], ["settings"], ["settings", "data"],
    ["settings", "evaluate.classifiers"], ["run", "--print_config"], ["--version"],
)  # fmt: skip


def test_help_and_settings_import_no_torch() -> None:
    calls = "; ".join(f"assert main({call}) == 0" for call in HELP)
    script = f"import sys; from s2m2.cli import main; {calls}; sys.exit('torch' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_the_overview_shows_five_commands_with_examples_and_lists_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--help")
    assert len(MAIN_COMMANDS) == 5
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert all(f"$ {COMMANDS[name].examples[0][0]}\n" in text for name in MAIN_COMMANDS)
    assert len(text.splitlines()) <= 60
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_fits_a_screen(capsys: pytest.CaptureFixture[str], name: str) -> None:
    text = printed(capsys, name, "--help")
    assert text.startswith(f"usage: s2m2 {name}")
    assert len(text.splitlines()) <= 65
    assert max(map(len, text.splitlines())) <= 80
    assert all(f"\n  --{flag} " in text for flag in COMMANDS[name].common)


def test_help_of_run_has_60_lines_at_most(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(printed(capsys, "run", "--help").splitlines()) <= 60


@pytest.mark.parametrize("name", COMMANDS)
def test_all_help_gives_meaning_and_default_of_every_flag_that_concerns_a_command(capsys: pytest.CaptureFixture[str], name: str) -> None:
    text, command = printed(capsys, name, "--help.all"), COMMANDS[name]
    entries = re.split(r"\n  (?=--)", text)[1:]
    shown = {entry[2:].split(".")[0] for entry in entries if "." in entry.split()[0]}
    assert shown <= set(command.sections) <= set(SECTIONS)
    for entry in entries:
        head, meaning = entry.split("\n      ", 1)
        assert re.search(r"[a-z]{3,}", meaning), entry
        assert "default: " in entry or "(required)" in head or head.split()[0] in ("--run,", "--config", "--print_config"), entry


def test_settings_lists_sections_then_settings(capsys: pytest.CaptureFixture[str]) -> None:
    sections = printed(capsys, "settings")
    assert all(f"\n  {path} " in sections for path in ("data", "data.augment", "finetune.mix", "evaluate", "runtime"))
    mix = printed(capsys, "settings", "finetune.mix")
    assert "  --finetune.mix.alpha FLOAT (default: 2; 0 or more)\n      Mixing weights" in mix
    assert mix.count("\n  --") == mix.count("--finetune.mix.") == 8
    assert printed(capsys, "settings", "--seed").startswith("  --seed INT (default: 0")


def test_settings_lists_classifiers_and_the_settings_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert "cosine, nearest_mean," in printed(capsys, "settings", "evaluate.classifiers")
    tim = printed(capsys, "settings", "evaluate.classifiers.tim")
    assert "  steps INT (default: 1000" in tim
    assert "no settings" in printed(capsys, "settings", "evaluate.classifiers.nearest_mean")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--pretrain.epoch", "3"], "no flag --pretrain.epoch; did you mean --pretrain.epochs?"),
        (["--epochs", "3"], "no flag --epochs; did you mean --finetune.epochs or --pretrain.epochs?"),
        (["--help.al"], "no flag --help.al; did you mean --help.all?"),
        (["--pretrain.epochs", "three"], "--pretrain.epochs is three, but must be a whole number, 1 or more"),
        (["--pretrain.epochs", "null"], "--pretrain.epochs is null, but must be a whole number, 1 or more"),
        (["--pretrain", "3"], "--pretrain is 3, but must be a section of settings, `name: value`"),
        (["--pretrain", "{epoch: 3}"], "no setting pretrain.epoch; did you mean pretrain.epochs?"),
        (["--pretrain", "{epochs: x}"], "--pretrain.epochs is x, but must be a whole number, 1 or more"),
        (["--data.mean", "0.5"], "--data.mean is [0.5], but must be 3 values, each a number"),
        (["--data.mean", "a", "b", "c"], "--data.mean is ['a', 'b', 'c'], but must be 3 values, each a number, or null"),
        (["--finetune.mix.stages", "x"], "--finetune.mix.stages is ['x'], but must be a list of values, each a whole number, 0 or more"),
        (["--evaluate.details", "3"], "--evaluate.details is 3, but must be true or false"),
        (["--pretrain.epochs", "0"], "--pretrain.epochs is 0"),
        (["--pretrain.epochs"], "--pretrain.epochs needs a value"),
        (["--model.backbone", "vgg"], "--model.backbone is vgg, but must be one of conv4"),
        (["--model.backbone", "resnet2"], "--model.backbone is resnet2; did you mean resnet12?"),
        (["--data.image_size", "27"], "--data.image_size is 27"),
        (["--data.path", MISSING], MISSING),
        (["--evaluate.ways", "5", "x"], "--evaluate.ways has x, but each value must be a whole number, 2 or more"),
        (["--evaluate.ways", "1"], "--evaluate.ways"),
        (["--evaluate.ways", "500"], "500"),
        (["--evaluate.queries", "500"], "queries"),
        (["--evaluate.classifiers", "cosine", "cosinus"], "--evaluate.classifiers is cosinus; did you mean cosine?"),
        (
            ["--evaluate.classifiers", "{epochs: 3}"],
            "--evaluate.classifiers has {'epochs': 3}, but must have names, or mappings with a name",
        ),
        (["--evaluate.classifiers", "3"], "--evaluate.classifiers is [3], but must be one of cosine"),
        (
            ["--evaluate.classifiers", "[cosine"],
            "--evaluate.classifiers is [cosine, but must be a list of values, each a name, or a name with",
        ),
        (
            ["--evaluate.classifiers", "cosine", "{name: cosine, epochs: 5}"],
            "--evaluate.classifiers has cosine twice; a label tells one from the other: {name: cosine, label: cosine_2, ...}",
        ),
        (["--evaluate.classifiers", "{name: cosine, label: a/b}"], "--evaluate.classifiers has the label 'a/b'"),
        (["--evaluate.classifiers", "{name: tim, steps: -1}"], "--evaluate.classifiers: tim.steps is -1, but must be 0 or more"),
        (["--evaluate.classifiers", "{name: tim, steps: x}"], "--evaluate.classifiers: tim.steps is 'x', but must be a whole number"),
        (["--evaluate.classifiers", "{name: tim, step: 1}"], "--evaluate.classifiers: tim has no setting step; did you mean steps?"),
        (["--evaluate.classifiers", "no_such:Thing"], "--evaluate.classifiers: classifier no_such:Thing cannot be loaded: No module"),
        (["--pretrain.batch_size", "100000"], "fewer than the 100,000 of --pretrain.batch_size"),
        (["--finetune.mix.stages", "0", "17"], "--finetune.mix.stages has 17"),
        (["--pretrain.validation.ways", "90"], "90"),
        (["--runtime.accelerator", "cuda"], "--runtime.accelerator is cuda"),
        (["--runtime.accelerator", "tpu"], "--runtime.accelerator is tpu, but must be one of auto, cpu, cuda, mps"),
        (["--finetune.validation.classifier", "calibrated"], "--finetune.validation.classifier is calibrated"),
        (["--evaluate.protocols", "fixed", "some"], "--evaluate.protocols has some, but each value must be one of fixed, s2m2, "),
        (["--evaluate.transforms", "unit", "whitened"], "evaluate.transforms"),
        ([f"{MISSING}.yaml"], f"{MISSING}.yaml"),
        (["--config", f"{MISSING}.yaml"], f"{MISSING}.yaml"),
        (["one.yaml", "two.yaml"], "one.yaml and two.yaml"),
        (["--model.dropout", "0.5"], "--model.dropout"),
        (["--seed", "-1"], "--seed is -1"),
        (["--finetune.epochs", "0"], "--evaluate.features is pretrain finetune, but must be without finetune"),
        (["--pretrain.mix.alpha", "1"], "--pretrain.objective is rotation"),
        (["--pretrain.bn_recalibration_images", "8"], "--pretrain.bn_recalibration_images is 8"),
        (["--data.holdout_fraction", "1"], "--data.holdout_fraction is 1"),
        (["--pretrain.objective", "exemplar", "--finetune.batch_size", "4"], "exemplar needs two"),
        (["--data.table", "glyphs"], "no flag --data.table; it is now --data.path"),
        (["--evaluate.heads", "cosine"], "it is now part of --evaluate.classifiers"),
        (["--evaluate.tim.steps", "10"], "it is now part of --evaluate.classifiers"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_input_names_its_flag_and_leaves_nothing(
    glyph_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], names: str
) -> None:
    import torch

    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    run = tmp_path / "run"
    error = complaint(capsys, "run", *tiny_flags(glyph_folder, run), *arguments)
    assert error.startswith("s2m2 run: ")
    assert names in error
    assert not run.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["evalute"], "s2m2: no command evalute; did you mean evaluate?"),
        (["bogus"], "s2m2: no command bogus; there are fit, predict, suggest, run, prepare, "),
        (["prepare", "somewhere"], "s2m2 prepare: needs --output"),
        (["prepare", "somewhere", "--outptu", "x"], "s2m2 prepare: no flag --outptu; did you mean --output?"),
        (["prepare", "a", "b", "--output", "c"], "s2m2 prepare: takes SOURCE, but was given a and b"),
        (["export"], "s2m2 export: needs --run, --output"),
        (["export", "--run", "a", "--output", "b", "--precision", "int8"], "--precision is int8, but must be one of stored, float32, "),
        (["export", "--run", "none", "--output", "b"], "s2m2 export: --run none is no run directory: there is no such directory"),
        (["prepare", "a", "--output", "b", "--size", "x"], "--size is x, but must be a whole number, from 8 to 4096 pixels, or null"),
        (["compare", "a", "b", "c"], "s2m2 compare: takes FIRST and SECOND, but was given a and b and c"),
        (["table"], "s2m2 table: needs RUN: directories of runs, or files of results"),
        (["evaluate", "--output", "a"], "s2m2 evaluate: --output goes with --features"),
        (["evaluate", "--features", "a.npz", "--run", "b"], "s2m2 evaluate: takes --run or --features, not both"),
        (["profile", "--steps", "0"], "s2m2 profile: --steps is 0, but must be 1 or more"),
        (["profile", "--run", "a"], "s2m2 profile: no flag --run"),
        (["settings", "finetune.mixx"], "s2m2 settings: no section or setting finetune.mixx; did you mean finetune.mix?"),
        (["settings", "tim"], "s2m2 settings: no section or setting tim; did you mean evaluate.classifiers.tim?"),
        (["settings", "tim_fats"], "s2m2 settings: no section or setting tim_fats; did you mean evaluate.classifiers.tim_fast?"),
        (["settings", "epochs"], "s2m2 settings: no section or setting epochs; did you mean pretrain.epochs or finetune.epochs?"),
        (["settings", "evaluate.classifiers.tom"], "did you mean tim?"),
        (["settings", "a", "b"], "s2m2 settings: takes one SECTION, but was given a and b"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_errors_speak_of_flags_and_commands(capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    assert says in complaint(capsys, *arguments)


def test_the_printed_settings_are_a_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--seed", "4", "--evaluate.classifiers", "cosine", "{name: tim, steps: 5}"]
    (tmp_path / "recipe.yaml").write_text(printed(capsys, "run", *flags, "--print_config"))
    recipe = read_recipe(tmp_path / "recipe.yaml")
    assert recipe.seed == 4
    assert recipe.evaluate.classifiers == ("cosine", {"name": "tim", "steps": 5})
    assert recipe == Recipe(seed=4, evaluate=recipe.evaluate)


def test_flags_lie_over_overlays_and_these_over_the_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, overlay = tmp_path / "base.yaml", tmp_path / "overlay.yaml"
    base.write_text("seed: 1\npretrain: {epochs: 1, batch_size: 8}")
    overlay.write_text("pretrain: {epochs: 2, batch_size: 9}")
    text = printed(capsys, "run", str(base), "--config", str(overlay), "--pretrain.epochs", "3", "--print_config")
    (tmp_path / "printed.yaml").write_text(text)
    recipe = read_recipe(tmp_path / "printed.yaml")
    assert (recipe.seed, recipe.pretrain.epochs, recipe.pretrain.batch_size) == (1, 3, 9)


def test_a_recipe_of_0_1_0_is_taken_with_a_warning_and_that_of_a_run_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: {table: birds}\nevaluate: {heads: [cosine]}\n")
    assert main(["run", str(recipe), "--print_config"]) == 0
    captured = capsys.readouterr()
    assert "path: birds" in captured.out
    assert captured.err == (
        f"s2m2 run: warning: {recipe} uses names of version 0.1.0: data.table is now data.path; "
        "evaluate.heads is now evaluate.classifiers\n"
    )
    assert main(["run", "--run", str(tmp_path), "--print_config"]) == 0
    captured = capsys.readouterr()
    assert "path: birds" in captured.out
    assert captured.err == ""


@pytest.mark.parametrize(
    ("name", "says"), [("finetune", "no finished pretraining"), ("evaluate", "is no run directory: there is no such directory")]
)
def test_a_stage_before_its_time_says_what_comes_first(
    glyph_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, says: str
) -> None:
    assert says in complaint(capsys, name, *tiny_flags(glyph_folder, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("begun", "arguments", "says"),
    [
        (False, ["pretrain", "--finetune.epochs", "3"], "pretrain: no use for --finetune.epochs; the recipe of a new run keeps it"),
        (True, ["pretrain", "--evaluate.tasks", "3"], "pretrain: no use for --evaluate.tasks; the run keeps the recipe that it has"),
        (
            False,
            ["pretrain", "--finetune.epochs", "3", "--evaluate.tasks", "3"],
            "pretrain: no use for --finetune.epochs, --evaluate.tasks; ",
        ),
        (False, ["profile", "--evaluate.tasks", "3"], "profile: no use for --evaluate.tasks\n"),
        (False, ["evaluate", "--features", "a.npz", "--pretrain.epochs", "3"], "evaluate: no use for --pretrain.epochs\n"),
        (False, ["run", "--evaluate.tasks", "3"], ""),
        (False, ["pretrain", "--pretrain.epochs", "3", "--seed", "3"], ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_flag_of_another_command_is_taken_with_a_line_that_says_what_becomes_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], begun: bool, arguments: list[str], says: str
) -> None:
    monkeypatch.setattr("s2m2.cli.dispatch._call", lambda *_, **__: 0)
    monkeypatch.chdir(tmp_path)
    if begun:
        (tmp_path / "runs" / "quick").mkdir(parents=True)
        (tmp_path / "runs" / "quick" / "recipe.yaml").write_text("seed: 0\n")
    (tmp_path / "a.npz").touch()
    text = printed(capsys, *arguments)
    assert text.startswith(says)
    assert text.count("\n") == bool(says)


@pytest.mark.parametrize("text", ["pretrain:\n  epoch: 3\n", "pretrain: [", "\x00", "seed: \udcff"])
def test_a_wrong_recipe_is_named_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_bytes(text.encode(errors="surrogateescape"))
    assert str(recipe) in complaint(capsys, "run", str(recipe), "--run", str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_run_directory_of_another_recipe_is_refused(glyph_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", *tiny_flags(glyph_folder, tmp_path / "run")]) == 0
    capsys.readouterr()
    changed = tiny_flags(glyph_folder, tmp_path / "run", pretrain__epochs="7")
    assert "holds a run with pretrain.epochs 2, not 7" in complaint(capsys, "pretrain", *changed)


def test_a_truncated_dataset_is_named(glyph_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    for file in glyph_folder.iterdir():
        (dataset / file.name).write_bytes(file.read_bytes()[: None if file.suffix == ".json" else 5000])
    assert str(dataset) in complaint(capsys, "run", *tiny_flags(dataset, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "positional", "flags"),
    [
        ("--evaluate.ways 5 10 --seed 3", "", "--evaluate.ways|[5, 10]|--seed|3"),
        ("--evaluate.ways [5,10]", "", "--evaluate.ways|[5,10]"),
        ("--evaluate.ways=5 a.yaml", "a.yaml", "--evaluate.ways|[5]"),
        ("--evaluate.ways=[5,10]", "", "--evaluate.ways|[5,10]"),
        ("--evaluate.ways null", "", "--evaluate.ways|null"),
        ("a.yaml --seed=3", "a.yaml", "--seed|3"),
        ("--seed 3 a.yaml", "a.yaml", "--seed|3"),
        ("--evaluate.ways 5 10 a.yaml", "a.yaml", "--evaluate.ways|[5, 10]"),
        ("--seed -1", "", "--seed|-1"),
        ("--base-features x", "", "--base_features|x"),
    ],
)
def test_lists_may_be_written_with_spaces_commas_or_brackets(words: str, positional: str, flags: str) -> None:
    known = {"--evaluate.ways", "--seed", "--base_features"}
    assert sort_arguments(words.split(), known, {"--evaluate.ways"}) == (positional.split(), flags.split("|"))


def test_values_of_a_literal_list_are_taken_as_they_are() -> None:
    words = ["--names", "a, b: {c}", '[1] "x"', "--ways", "5", "10"]
    flags = ["--names", '["a, b: {c}", "[1] \\"x\\""]', "--ways", "[5, 10]"]
    assert sort_arguments(words, {"--names", "--ways"}, {"--names", "--ways"}, {"--names"}) == ([], flags)


@pytest.mark.parametrize(("words", "says"), [("--seed --run x", "--seed needs a value"), ("--sed 3", "did you mean --seed")])
def test_a_call_without_a_form_is_refused(words: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        sort_arguments(words.split(), {"--seed", "--run"}, ())


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (RuntimeError("CUDA error: out of memory"), 1, "out of device memory; "),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), 1, "out of device memory; "),
        (RuntimeError("gloo: connection closed"), 1, "another process of this run ended or cannot be reached; "),
        (FloatingPointError("the loss is not finite"), 1, "the loss is not finite"),
        (OSError(28, "No space left on device", "a.pt"), 2, "a.pt cannot be used: No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted; the same command continues from the last checkpoint"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_a_failure_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, says: str
) -> None:
    def fail(*arguments: object, **settings: object) -> None:
        raise error

    monkeypatch.setattr("s2m2.cli.dispatch._call", fail)
    assert complaint(capsys, "run", code=code).startswith(f"s2m2 run: {says}")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_function_of_a_command_exists(name: str) -> None:
    from importlib import import_module

    module, _, function = COMMANDS[name].target.partition(":")
    assert callable(getattr(import_module(module), function))


if __name__ == "__main__":
    FLAGS.write_text(flag_list(), encoding="utf-8")
