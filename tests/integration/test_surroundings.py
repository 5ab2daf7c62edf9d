"""What a user's machine may hold: settings of other programs, streams that take no `±`, stray files, a disk that refuses the report."""

import os
import subprocess
from pathlib import Path

import matplotlib as mpl
import pytest

from s2m2.cli import main
from s2m2.errors import InputError
from s2m2.evaluation.results import read_results
from s2m2.io import expanded
from s2m2.recipe import RuntimeConfig, read_recipe
from s2m2.reports.plots import styled
from s2m2.runs.directory import RunDirectory
from s2m2.training.devices import build_fabric
from tests.integration.tiny import SCORED_BRIEFLY, command, tiny_flags, without_report


@pytest.fixture(scope="module")
def flags(glyph_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A trained and scored run, whose name has what other programs take for markup."""
    run = tmp_path_factory.mktemp("surroundings") / "[bold]run[/x]:car:"
    made = tiny_flags(glyph_folder, run, **SCORED_BRIEFLY, pretrain__epochs="1", finetune__epochs="0", evaluate__features="pretrain")
    with without_report():
        assert main(["run", *made]) == 0
    return made


def run_of(flags: list[str]) -> RunDirectory:
    return RunDirectory(Path(flags[flags.index("--run-dir") + 1]))


def test_names_are_no_markup(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *flags]) == 0
    assert f"report: {run_of(flags).report}" in capsys.readouterr().out.replace("\n", "")


def test_a_matplotlibrc_of_the_user_counts_for_nothing(flags: list[str], tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.size: 40\nbackend: TkAgg\n")
    run_of(flags).report.unlink(missing_ok=True)
    done = subprocess.run(command("evaluate", *flags), cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "cannot be written" not in done.stdout
    assert run_of(flags).report.is_file()


def test_the_look_of_plots_ends_with_them() -> None:
    with mpl.rc_context({"font.size": 40}):
        with styled(**{"axes.grid": False}):
            assert (mpl.rcParams["font.size"], mpl.rcParams["axes.grid"], mpl.rcParams["text.usetex"]) == (8, False, False)
        assert mpl.rcParams["font.size"] == 40


@pytest.mark.parametrize("name", ["._x.json", ".DS_Store.json"])
def test_hidden_files_among_results_are_ignored(flags: list[str], name: str) -> None:
    stray = run_of(flags).results / name
    stray.write_bytes(b"\x00\x05\x16\x07")
    try:
        with without_report():
            assert main(["evaluate", *flags]) == 0
        assert len(read_results(run_of(flags))) >= 1
    finally:
        stray.unlink()


def test_a_report_that_fails_is_a_line_and_the_scores_are_saved(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, before = run_of(flags), len(read_results(run_of(flags)))
    run.scores_csv.unlink(missing_ok=True)

    def broken(*arguments: object, **options: object) -> str:
        raise ValueError("no plot today")

    monkeypatch.setattr("s2m2.reports.html.sample_splits", broken)
    assert main(["evaluate", *flags]) == 0
    output = capsys.readouterr().out.replace("\n", "")
    assert f"warning: the report cannot be written: no plot today; the scores are in {run.results}" in output
    assert "Few-shot accuracy" in output
    assert len(read_results(run)) >= before
    assert run.scores_csv.is_file()


def test_ascii_terminals_get_escapes(flags: list[str]) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command("evaluate", *flags), env=environment, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "Few-shot accuracy" in done.stdout.decode("ascii")


def test_a_closed_pipe_is_one_line(flags: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen(command("evaluate", *flags), stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    assert error.startswith("s2m2 evaluate: standard output was closed; ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "--run", "~nosuchuser/run"],
        ["run", "--data.path", "~nosuchuser/data", "--run", "x"],
        ["doctor", "~nosuchuser/data"],
        ["prepare", "~nosuchuser/data", "--output", "x"],
        ["import", "~nosuchuser/x.tar", "--output", "x"],
        ["export", "~nosuchuser/run", "--output", "x"],
        ["evaluate", "--features", "~nosuchuser/x.npz"],
    ],
)
def test_a_home_of_nobody_is_one_line(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    assert expanded("~nosuchuser/x") == Path("~nosuchuser/x")
    assert expanded("~") == Path.home()


@pytest.mark.parametrize(("name", "value"), [("devices", 10_000), ("threads", 100_000)])
def test_more_processes_or_threads_than_a_machine_can_use_are_refused(name: str, value: int) -> None:
    with pytest.raises(InputError, match=rf"--runtime\.{name} is {value}, but this machine has"):
        build_fabric(RuntimeConfig(accelerator="cpu", **{name: value}))


BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Lines that together are a billion values."""
REFUSED = {
    "pretrain: [{epochs: 50}]": "line 1: --pretrain is [{'epochs': 50}], but must be a section of settings",
    "seed: 1\nseed: 2": "line 2: seed is stated twice",
    "seed: 017": "line 1: 017 is not a decimal number",
    "seed: 1:30:00": "line 1: 1:30:00 is not a decimal number",
    "data:\n  path: x\npretrain:\n  epoch: 4": "line 4: no setting pretrain.epoch; did you mean pretrain.epochs?",
    "pretrain:\n  epochs: -3": "line 2: --pretrain.epochs is -3, but must be 1 or more",
    "pretrain:\n  optimizer: {learning_rate: fast}": "line 2: --pretrain.optimizer.learning_rate is fast",
    "evaluate:\n  heads: [[a]]": "line 2: evaluate.heads is [['a']], but must be names of few-shot classifiers",
    "evaluate:\n  cosine: 5": "line 2: evaluate.cosine is 5, but must be a section of settings",
    "evaluate:\n  ways: null": "line 2: --evaluate.ways is null, but must be a list of values",
    "runtime:\n  loggers: null": "line 2: --runtime.loggers is null, but must be a list",
    "seed: &x [*x]": "line 1: a value holds itself",
    "seed: " + "[" * 50_000: "is nested too deeply",
    BOMB: "line 5: more than 10,000 values, with those that aliases repeat",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:30])
def test_a_recipe_that_is_refused_names_line_and_setting(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_recipe(tmp_path / "r.yaml")
    assert REFUSED[text] in str(caught.value)
    assert "r.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_heads_are_the_default_ones(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("evaluate:\n  heads: null\n")
    assert read_recipe(tmp_path / "r.yaml").evaluate.classifiers == ("cosine", "nearest_mean")


def test_aliases_in_measure_are_read(tmp_path: Path) -> None:
    text = "pretrain: {optimizer: &o {schedule: constant, learning_rate: 0.01}}\nfinetune: {optimizer: *o}\n"
    (tmp_path / "r.yaml").write_text(text)
    recipe = read_recipe(tmp_path / "r.yaml")
    assert recipe.finetune.optimizer == recipe.pretrain.optimizer


def test_what_is_no_file_is_no_recipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r.yaml")
    for path in (tmp_path / "r.yaml", Path("/dev/zero")):
        with pytest.raises(InputError, match="no recipe file"):
            read_recipe(path)
    for source in (tmp_path / "r.yaml", Path("/dev/zero")):
        call = command("import", str(source), "--output", str(tmp_path / "x"))
        done = subprocess.run(call, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
