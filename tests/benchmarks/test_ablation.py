"""The ablation: the command of each run, and means, differences and intervals of its table."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import s2m2
from benchmarks.ablation import ARMS, LINES, command, directory, epochs_of, main, parse, report
from benchmarks.reproduce_table import CONFIGS
from s2m2.evaluation.compare import compare_results
from s2m2.evaluation.results import TaskResults, save_results
from s2m2.runs.provenance import record

RECIPE = CONFIGS / "cifar_fs" / "short.yaml"


def results(spread: float, shots: int) -> TaskResults:
    """Scores of features whose classes overlap by a spread; the tasks are the same for every one."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(12), 30)
    centers = generator.normal(size=(12, 8))[labels]
    features = (centers + spread * generator.normal(size=centers.shape)).astype(np.float32)
    return s2m2.evaluate(features, labels, classifier="nearest_mean", shots=shots, tasks=200).results


def save(runs: list[str], spreads: dict[tuple[str, str, int], float]) -> None:
    options, _ = parse(runs)
    for (arm, stage, seed), spread in spreads.items():
        run = directory(options, arm, seed)
        run.results.mkdir(parents=True, exist_ok=True)
        for shots in (1, 5):
            save_results(run.results, replace(results(spread, shots), features=stage, classifier="cosine", split="novel"))
        stages = {stage: {"seconds": 1800.0, "hardware": "a processor"}}
        record(run, **stages, evaluate={"seconds": 1.0, "hardware": "a processor"})


def test_every_run_has_its_overlay_and_epochs() -> None:
    options, extra = parse(["--runs", "r", "--", "--runtime.threads", "1"])
    for name, arm in ARMS.items():
        words = command(options, name, 3, extra)
        assert all(Path(word).is_file() for word in words if word.endswith(".yaml"))
        assert words[-2:] == ["--runtime.threads", "1"]
        assert str(Path("r") / f"{name}-seed3") in words
        assert words[words.index("--finetune.epochs") + 1] == ("3" if arm.stages == 2 else "0")
    # 3 epochs, a quarter of whose images go through the network twice.
    assert epochs_of(ARMS["supervised_longer"], RECIPE, 10, 3)["pretrain.epochs"] == 14
    assert {line.arm for line in LINES} == set(ARMS)


def test_differences_are_paired_and_their_interval_is_of_the_mean_over_seeds(tmp_path: Path) -> None:
    runs = ["--runs", str(tmp_path)]
    save(runs, {("supervised", "pretrain", 0): 1.4, ("supervised", "pretrain", 1): 1.6, ("manifold_mixup", "pretrain", 0): 1.0})
    save(runs, {("manifold_mixup", "pretrain", 1): 1.2})
    options, _ = parse(runs)
    text = report(options, ())
    row = next(line for line in text.splitlines() if line.startswith("| manifold mixup alone")).split(" | ")
    differences = [100 * compare_results(results(a, 1), results(b, 1)).difference for a, b in ((1.4, 1.0), (1.6, 1.2))]
    means = [100 * results(spread, 1).mean for spread in (1.0, 1.2)]
    assert row[1].startswith(f"{np.mean(means):.2f} ± ")
    assert row[2].startswith(f"{np.mean(differences):+.2f} ± ")
    assert row[2].endswith(f"({differences[0]:+.2f}, {differences[1]:+.2f})")
    assert row[-1].startswith("0.50")
    assert "| rotation | not yet |" in text


def test_with_one_seed_the_interval_is_that_of_a_comparison(tmp_path: Path) -> None:
    runs = ["--runs", str(tmp_path), "--seeds", "0"]
    save(runs, {("supervised", "pretrain", 0): 1.5, ("s2m2_r", "pretrain", 0): 1.1, ("s2m2_r", "finetune", 0): 1.0})
    text = report(parse(runs)[0], ())
    expected = compare_results(results(1.1, 5), results(1.0, 5))
    assert expected.class_interval is not None
    pair = next(line for line in text.splitlines() if line.startswith("| S2M2_R - rotation"))
    assert f"{100 * expected.difference:+.2f} ± {100 * expected.class_interval:.2f}" in pair
    hours = next(line for line in text.splitlines() if line.startswith("| S2M2_R |")).split(" | ")[-1]
    assert hours.startswith("1.00"), "of both stages"


def test_runs_that_fail_are_named_and_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--arms", "supervised", "--seeds", "4", "--runs", str(tmp_path / "r"), "--output", str(tmp_path / "a.md")]
    assert main([*words, "--", "--data.path", str(tmp_path / "nothing")]) == 1
    assert "failed: supervised, seed 4" in capfd.readouterr().err
    assert not (tmp_path / "a.md").exists()
