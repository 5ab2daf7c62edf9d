"""The benchmark of feature extraction: sizes by device, and a line per backbone."""

import pytest

from benchmarks import feature_extraction
from benchmarks.feature_extraction import main, parse


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--device", "cpu"], (32, 1)),
        (["--device", "cuda"], (256, 64)),
        (["--device", "cuda:1", "--batch-size", "8"], (8, 64)),
        (["--device", "cuda", "--times", "2"], (256, 2)),
    ],
)
def test_a_gpu_gets_more_images_by_default(arguments: list[str], expected: tuple[int, int]) -> None:
    options = parse(arguments)
    assert (options.batch_size, options.times) == expected


@pytest.mark.usefixtures("one_thread")
def test_it_reports_a_line_for_each_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(feature_extraction, "ROWS", {("conv4", 28, 32): 6})
    main(["--device", "cpu", "--batch-size", "4", "--threads", "1", "--repeats", "1", "--times", "2"])
    text = capsys.readouterr().out
    assert "| conv4 | 28 | 12 |" in text
    assert "GPU" not in text
