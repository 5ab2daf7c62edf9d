"""The benchmark of few-shot classifiers on a GPU: whole rows, and the slowest classifier last."""

import pytest
import torch

from benchmarks.episode_throughput import made_up_features, parse, report_gpu
from s2m2.classifiers import BaseStatistics

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_slowest_classifier_is_the_last() -> None:
    assert parse([]).classifiers[-1] == "calibrated"


def test_a_gpu_scores_ten_thousand_tasks_by_default() -> None:
    assert parse(["--device", "cuda"]).tasks == 10_000
    assert parse(["--device", "cuda", "--tasks", "7"]).tasks == 7


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))])
def test_every_row_has_all_its_columns(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = parse(["--classifiers", "nearest_mean", "cosine_centroid", "--tasks", "4"])
    options.device = device
    base = made_up_features(2, "base")
    report_gpu(made_up_features(5, "novel"), BaseStatistics.from_features(base.features, base.labels, covariances=False), options)
    text = capsys.readouterr().out
    table = [line.split("|") for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 2 * 2
    assert len({len(line) for line in table}) == 1
    memory = [line[table[0].index(" GPU memory, GiB ")].strip() for line in table[2:]]
    assert all(float(value) > 0 for value in memory) if device == "cuda" else not any(memory)
    assert ("On this GPU float32 means" in text) == (device == "cuda")
