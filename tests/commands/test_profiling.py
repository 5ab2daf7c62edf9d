"""`s2m2 profile`: every part of both stages, from the settings of the recipe, and nothing written."""

import json
from pathlib import Path

import pytest

from s2m2.cli import main
from tests.integration.tiny import tiny_flags

pytestmark = pytest.mark.usefixtures("one_thread")


def flags(dataset: Path, **changes: str) -> list[str]:
    """Those of the tiny recipe, without a run directory."""
    found = tiny_flags(dataset, Path("unused"), **changes)
    place = found.index("--run-dir")
    return ["profile", "--steps", "1", "--repeats", "1", *found[:place], *found[place + 2 :]]


def test_both_stages_are_taken_apart_and_nothing_is_written(
    glyph_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(flags(glyph_folder)) == 0
    printed = capsys.readouterr().out
    for words in ("waiting", "augmentation", "forward", "backward", "optimizer", "everything else", "pretrain, 32", "finetune, 32"):
        assert words in printed
    assert printed.count("images/s; bare step") == 2
    assert not list(tmp_path.iterdir())


def test_the_figures_can_be_had_as_json(glyph_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "profile.json"
    assert main([*flags(glyph_folder, pretrain__objective="exemplar"), "--output", str(output)]) == 0
    profiles = json.loads(output.read_text())
    assert [profile["stage"] for profile in profiles] == ["pretrain", "finetune"]
    assert all(profile["images_per_second"] > 0 for profile in profiles)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--steps", "0"], "--steps is 0, but must be 1 or more"),
        (["--repeats", "none"], "--repeats"),
        (["--pretrain.batch_size", "10000"], "too few for a batch size of 10000"),
        (["--run", "somewhere"], "--run"),
    ],
)
def test_what_cannot_be_profiled_is_one_line(
    glyph_folder: Path, capsys: pytest.CaptureFixture[str], changes: list[str], message: str
) -> None:
    assert main([*flags(glyph_folder), *changes]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
