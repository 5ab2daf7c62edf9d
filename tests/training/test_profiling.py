"""Profiling: the parts are all of the time, blocks alternate, and bare steps learn on the same images; `s2m2 profile`."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from s2m2.cli import main
from s2m2.data.dataset import ImageDataset
from s2m2.recipe import TrainingConfig
from s2m2.training.profiling import PARTS, Stopwatch, alternate, bare_step, profile_step, step_numbers
from tests.integration.tiny import tiny_flags
from tests.training.networks import step_maker, tiny_recipe

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
RECIPE = tiny_recipe()


@pytest.mark.parametrize("config", [RECIPE.pretrain, RECIPE.finetune])
def test_the_parts_of_a_step_add_up_to_the_step(small_glyphs: ImageDataset, config: TrainingConfig) -> None:
    profile = profile_step(step_maker(small_glyphs, RECIPE, config), CPU, steps=2, repeats=3)
    assert tuple(profile.parts) == PARTS
    assert all(took > 0 for took in profile.parts.values())
    assert len(profile.bare) == len(profile.real) == 3
    assert sum(profile.parts.values()) == pytest.approx(sum(profile.real) / 3, rel=0.1)
    assert profile.images_per_second == pytest.approx(32 / sorted(profile.real)[1])


def test_a_stopwatch_adds_up_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 11.0, 13.0, 16.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    watch = Stopwatch(CPU)
    for part in ("begin", "one", "other", "one"):
        watch.mark(part)
    assert watch.seconds() == {"one": 4.0, "other": 2.0}


def test_blocks_alternate_and_the_first_round_is_not_counted() -> None:
    done: list[tuple[str, int]] = []

    def block(name: str) -> Callable[[int], Callable[[], object]]:
        return lambda repeat: lambda: done.append((name, repeat))

    durations = alternate({"a": block("a"), "b": block("b")}, 2, CPU)
    assert done == [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]
    assert {name: len(taken) for name, taken in durations.items()} == {"a": 2, "b": 2}


def test_preparing_a_block_is_not_timed() -> None:
    def block(repeat: int) -> Callable[[], object]:
        time.sleep(0.05)
        return lambda: None

    assert alternate({"a": block}, 1, CPU)["a"][0].wall < 0.05


def test_repeats_continue_where_the_last_one_ended_and_begin_again_at_the_end_of_the_stage() -> None:
    assert [step_numbers(repeat, 3, 8) for repeat in range(3)] == [[0, 1, 2], [3, 4, 5], [6, 7, 0]]


def test_a_bare_step_is_a_step_on_the_images_of_step_0(small_glyphs: ImageDataset) -> None:
    one, other = (step_maker(small_glyphs, RECIPE, RECIPE.finetune)(lambda part: None) for _ in range(2))
    real, bare = one(0), bare_step(other)(0)
    assert torch.equal(real.total, bare.total)  # type: ignore[attr-defined]
    states = [step.prepared.networks.state_dict() for step in (one, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def profile_flags(dataset: Path, **changes: str) -> list[str]:
    """Those of the tiny recipe, without a run directory."""
    words = tiny_flags(dataset, Path("unused"), **changes)
    position = words.index("--run-dir")
    return ["profile", "--steps", "1", "--repeats", "1", *words[:position], *words[position + 2 :]]


def test_both_stages_are_taken_apart_and_nothing_is_written(
    glyph_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(profile_flags(glyph_folder)) == 0
    printed = capsys.readouterr().out
    for words in ("waiting", "augmentation", "forward", "backward", "optimizer", "everything else", "pretrain, 32", "finetune, 32"):
        assert words in printed
    assert printed.count("images/s; bare step") == 2
    assert not list(tmp_path.iterdir())


def test_the_figures_can_be_had_as_json(glyph_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "profile.json"
    assert main([*profile_flags(glyph_folder, pretrain__objective="exemplar"), "--output", str(output)]) == 0
    profiles = json.loads(output.read_text())
    assert [profile["stage"] for profile in profiles] == ["pretrain", "finetune"]
    assert all(profile["images_per_second"] > 0 for profile in profiles)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--steps", "0"], "--steps is 0, but must be 1 or more"),
        (["--repeats", "none"], "--repeats"),
        (["--pretrain.batch_size", "10000"], "fewer than the 10,000 of --pretrain.batch_size"),
        (["--run", "somewhere"], "--run"),
    ],
)
def test_what_cannot_be_profiled_is_one_line(
    glyph_folder: Path, capsys: pytest.CaptureFixture[str], changes: list[str], message: str
) -> None:
    assert main([*profile_flags(glyph_folder), *changes]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
