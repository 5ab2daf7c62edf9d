"""The benchmark of a training step: its sides, and a report that survives an interruption. No time is asserted."""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks import train_step
from benchmarks.float32 import float32_words, products_like_convolutions
from benchmarks.train_step import conventional_block, matrix_block, parse, sizes
from benchmarks.train_step_report import Row, report
from s2m2.training.profiling import Taken

pytestmark = pytest.mark.usefixtures("one_thread")
CPU, GPU = torch.device("cpu"), torch.device("cuda")
PROGRAM = """
import torch
from s2m2.data.dataset import LabeledImages
from torch._dynamo.utils import counters
from benchmarks import train_step
from s2m2.training.devices import build_fabric
from s2m2.recipe.runtime import RuntimeConfig
from s2m2.training.compiling import compile_networks

limit = 100


def compile_under_limit(*networks):
    compile_networks(*networks, backend="eager")
    torch._dynamo.config.recompile_limit = limit


def graphs_of_a_row():
    before = counters["stats"]["unique_graphs"]
    train_step.measure("conv4", "supervised", train_step.parse(words.split()), fabric, images)
    return counters["stats"]["unique_graphs"] - before


train_step.compile_networks = compile_under_limit
words = "--device cpu --precision 32-true --batch-size 4 --steps 1 --repeats 1 --workers 0 --compile"
fabric = build_fabric(RuntimeConfig(accelerator="cpu", precision="32-true", threads=1))
images = LabeledImages(images=torch.zeros(8, 32, 32, 3, dtype=torch.uint8), indices=torch.arange(8), labels=torch.arange(8))
limit = graphs_of_a_row()
print(limit, graphs_of_a_row())
limit = 1
try:
    graphs_of_a_row()
except torch._dynamo.exc.FailOnRecompileLimitHit:
    print("refused")
"""
"""In a process without run-time checks, which torch cannot trace; graphs run uncompiled, as compilation takes minutes."""
TINY = ["--device", "cpu", "--precision", "32-true", "--backbones", "conv4", "--batch-size", "4", "--steps", "1", "--repeats", "1"]


def row(objective: str) -> Row:
    taken = {name: [Taken(wall=1.0, cpu=0.5)] for name in ("bare", "loop", "conventional", "matrix")}
    return Row(
        backbone="conv4", objective=objective, batch_size=8, steps=2, taken=taken, flops=10, matrix_flops=20,
        memory=dict.fromkeys(("bare", "loop", "conventional"), 1.0),
    )  # fmt: skip


@pytest.fixture
def no_gpu_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")


@pytest.fixture
def float32() -> Iterator[None]:
    """The meaning of float32 is restored."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.usefixtures("no_gpu_needed")
@pytest.mark.parametrize(("device", "expected"), [(CPU, True), (GPU, False)])
def test_cpu_time_is_reported_for_a_cpu_only(device: torch.device, expected: bool) -> None:
    text = report([row("supervised")], parse(TINY), device, (0.0, 0.0))
    assert ("CPU time" in text) == expected
    speeds = [line for line in text.splitlines() if line.startswith("|")][:3]
    assert len({line.count("|") for line in speeds}) == 1  # every column has its name


def test_in_bfloat16_on_a_cpu_the_loop_is_compared_with_the_loop_in_float32(tmp_path: Path) -> None:
    words = [*TINY, "--precision", "bf16-mixed", "--width", "8", "--objectives", "rotation", "--workers", "0", "--threads", "1"]
    train_step.main([*words, "--output", str(tmp_path / "report.md")])
    text = (tmp_path / "report.md").read_text()
    assert "(b) times (d)" in text
    assert "Backbones have 8 channels in the first stage." in text
    assert "--width 8" in text
    speeds = [line for line in text.splitlines() if line.startswith("|")][:3]
    assert len({line.count("|") for line in speeds}) == 1


@pytest.mark.usefixtures("no_gpu_needed", "float32")
@pytest.mark.parametrize(
    ("device", "precision", "words"),
    [
        (CPU, "32-true", "a matrix product in float32 in"),
        (GPU, "32-true", "a matrix product in TF32, as convolutions are,"),
        (GPU, "bf16-mixed", "a matrix product in bfloat16 in"),
    ],
)
def test_the_report_states_the_precision_of_the_matrix_product(device: torch.device, precision: str, words: str) -> None:
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False
    text = report([row("supervised")], parse([*TINY, "--precision", precision]), device, (0.0, 0.0))
    assert words in text
    assert ("TF32 in convolutions and IEEE float32 in matrix products" in text) == (device == GPU)


@pytest.mark.usefixtures("float32")
def test_matrix_products_compute_as_convolutions_do_only_while_they_are_measured() -> None:
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False
    with products_like_convolutions(GPU):
        assert torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    with products_like_convolutions(CPU):
        assert not torch.backends.cuda.matmul.allow_tf32
    assert float32_words(CPU) == ""


def test_the_matrix_block_counts_its_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    operations_of_calls = []
    monkeypatch.setattr(torch, "mm", lambda one, other, out: operations_of_calls.append(2 * one.shape[0] * one.shape[1] * other.shape[1]))
    block, operations = matrix_block(CPU, "32-true")
    assert block(0)() is None
    assert sum(operations_of_calls) == operations


def test_a_stopped_run_leaves_the_rows_that_were_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    output, objectives = tmp_path / "report.md", ["supervised", "rotation"]

    def until_stopped(_: str, objective: str, *__: object) -> Row:
        if objective not in objectives:
            raise KeyboardInterrupt
        return row(objective)

    monkeypatch.setattr(train_step, "measure", until_stopped)
    with pytest.raises(KeyboardInterrupt):
        train_step.main([*TINY, "--objectives", "supervised", "rotation", "mixup", "--output", str(output)])
    text = output.read_text()
    assert text.count("| conv4 | supervised |") == text.count("| conv4 | rotation |") == 2  # speeds, and arithmetic
    assert "| conv4 | mixup |" not in text
    assert "Command: " in text
    assert list(tmp_path.iterdir()) == [output]


class Counting:
    """A pipeline that records its steps."""

    ahead = 6

    def __init__(self) -> None:
        self.steps: list[tuple[int, Tensor]] = []

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        return ((torch.tensor(number), torch.tensor(0)) for number in range(100))

    def step(self, number: int, images: Tensor, labels: Tensor) -> None:
        self.steps.append((number, images))


def test_batches_made_in_advance_are_not_timed() -> None:
    conventional = Counting()
    work = conventional_block(conventional, 4, 1000)(0)  # type: ignore[arg-type]
    assert len(conventional.steps) == conventional.ahead
    work()
    assert [int(images) for _, images in conventional.steps] == list(range(conventional.ahead + 4))


@pytest.mark.parametrize(("workers", "steps"), [(0, 3), (1, 3), (2, 4), (8, 8)])
def test_every_worker_makes_as_many_of_the_timed_batches(workers: int, steps: int) -> None:
    options = argparse.Namespace(batch_size=5, steps=3, workers=workers)
    assert sizes("conv4", options, CPU) == (5, steps)


def test_every_row_has_graphs_of_its_own_and_stops_at_the_limit() -> None:
    process = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=240, check=False)
    assert process.returncode == 0, process.stderr
    first, second, refused = process.stdout.split()
    assert int(first) == int(second) > 1
    assert refused == "refused"
