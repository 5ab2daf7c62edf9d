"""The report of `benchmarks.train_step`."""

import argparse
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import torch

from benchmarks.float32 import float32_words
from s2m2.training.profiling import Taken

PASSES = {"supervised": (1, 1), "rotation": (1, 4), "exemplar": (4, 4), "mixup": (1, 1), "finetune": (1.25, 2)}
"""Images that go through the network for each base image, ours and conventional. Fine-tuning puts the losses of stage 1 (rotation)
of a quarter of the batch beside the mixed batch."""
SIDES = ("bare", "loop", "conventional")


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured of one backbone and objective: seconds of each repeat, and figures of one step."""

    backbone: str
    objective: str
    batch_size: int
    steps: int
    taken: dict[str, list[Taken]]
    flops: int
    matrix_flops: int
    memory: dict[str, float]


def compares_float32(options: argparse.Namespace) -> bool:
    """Whether the loop is measured in float32 too: on a CPU in bfloat16."""
    return options.device == "cpu" and "bf16" in options.precision


def walls(row: Row, name: str) -> list[float]:
    """Wall seconds of a side in each repeat."""
    return [taken.wall for taken in row.taken[name]]


def ratio(one: list[float], other: list[float], form: str) -> str:
    """How much less the second takes: median over repeats, least and greatest in brackets."""
    found = sorted(first / second for first, second in zip(one, other, strict=True))
    return f"{form.format(median(found))} ({form.format(found[0])} to {form.format(found[-1])})"


def speed_line(row: Row, device: torch.device) -> str:
    """A line of the table of speeds."""
    ours, their = PASSES[row.objective]
    rates = [row.batch_size * row.steps / median(walls(row, name)) for name in SIDES]
    words = " | ".join(f"{rate:,.1f}" for rate in rates)
    passes = f"{ours * rates[0]:,.1f} / {ours * rates[1]:,.1f} / {their * rates[2]:,.1f}"
    of_bare = ratio(walls(row, "bare"), walls(row, "loop"), "{:.1%}")
    if device.type == "cpu":
        of_bare += " | " + ratio([taken.cpu for taken in row.taken["bare"]], [taken.cpu for taken in row.taken["loop"]], "{:.1%}")
    of_conventional = ratio(walls(row, "conventional"), walls(row, "loop"), "{:.2f}")
    if "float32" in row.taken:
        of_conventional += " | " + ratio(walls(row, "float32"), walls(row, "loop"), "{:.2f}")
    names = f"{row.backbone} | {row.objective} | {row.batch_size}"
    return f"| {names} | {words} | {of_bare} | {of_conventional} | {passes} |"


def work_line(row: Row) -> str:
    """A line of the table of arithmetic and memory."""
    done = {name: [row.flops * row.steps / took for took in walls(row, name)] for name in ("bare", "loop")}
    matrix = [row.matrix_flops / took for took in walls(row, "matrix")]
    shares = " | ".join(f"{median(rate / most for rate, most in zip(done[name], matrix, strict=True)):.0%}" for name in done)
    memory = " | ".join(f"{row.memory[name]:,.0f}" for name in SIDES)
    rates = f"{median(done['bare']) / 1e9:,.1f} | {median(matrix) / 1e9:,.1f}"
    return f"| {row.backbone} | {row.objective} | {row.flops / 1e9:,.1f} | {rates} | {shares} | {memory} |"


def report(rows: list[Row], options: argparse.Namespace, device: torch.device, load: tuple[float, float]) -> str:
    """The report."""
    speeds = ["backbone", "objective", "batch", "bare (a)", "loop (b)", "conventional (c)", "(b) of (a)"]
    on_cpu = device.type == "cpu"  # the host of a GPU spins while it waits, so its time says nothing
    if on_cpu:
        speeds.append("the same by CPU time")
    fourth = "; (d) is the loop in float32" if compares_float32(options) else ""
    width = "" if options.width is None else f" Backbones have {options.width} channels in the first stage."
    works = ("backbone", "objective", "GFLOP a step", "GFLOP/s (a)", "GFLOP/s, matrix", "(a) of it", "(b) of it")
    lines = [
        f"# Training step, {datetime.now(UTC):%Y-%m-%d}\n",
        f"{hardware(device)}; {torch.get_num_threads()} torch thread(s), torch {torch.__version__}, Python {platform.python_version()}.",
        f"(a) and (b) in {options.precision}, channels-last, {'compiled' if options.compile else 'not compiled'}; (c) in float32, with",
        f"{options.workers} DataLoader workers{fourth}.{width} {float32_words(device)}".rstrip(),
        f"Load average over a minute: {load[0]:.1f} before, {load[1]:.1f} after the run.\n",
        f"Medians of {options.repeats} repeats after one that is not counted; all sides in turn in every repeat, in reverse order in",
        "every other, each after one step that is not timed, (c) after as many as its workers make ahead. Ratios are medians of those",
        "within a repeat, least and greatest in brackets.",
        *["CPU time is that of this process, all threads together, which other work on the machine changes less than wall time."] * on_cpu,
        "\nBase images a second, and passes of images through the network a second, (a) / (b) / (c):\n",
        *heading(*speeds, "(b) times (c)", *["(b) times (d)"] * compares_float32(options), "passes/s"),
        *(speed_line(row, device) for row in rows),
        f"\nArithmetic, against a matrix product {product_words(options, device)} in the same repeat; and the most memory that a step",
        "takes above what lies there between steps (weights, momentum, images), in MiB. DataLoader workers come on top and are not",
        "counted.\n",
        *heading(*works, "memory (a)", "(b)", "(c)"),
        *map(work_line, rows),
        f"\nCommand: `{command(options)}`.",
    ]
    return "\n".join(lines) + "\n"


def product_words(options: argparse.Namespace, device: torch.device) -> str:
    """The arithmetic of the matrix product, which is that of convolutions."""
    float32 = "in TF32, as convolutions are," if device.type == "cuda" and torch.backends.cudnn.allow_tf32 else "in float32"
    return "in bfloat16" if "bf16" in options.precision else float32


def heading(*names: str) -> list[str]:
    """The first two lines of a table."""
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]


def command(options: argparse.Namespace) -> str:
    """The call that repeats the run, but for the file of the report."""
    given = {name.replace("_", "-"): value for name, value in vars(options).items() if value and name != "output"}
    words = (
        f"--{name}" if value is True else f"--{name} {' '.join(map(str, value if isinstance(value, list) else [value]))}"
        for name, value in given.items()
    )
    return f"python -m benchmarks.train_step {' '.join(words)}"


def hardware(device: torch.device) -> str:
    """The device, the processor, cores and memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    gpu = f"{torch.cuda.get_device_name(device)}, " if device.type == "cuda" else ""
    return f"{gpu}{processor()}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.machine()}"


def processor() -> str:
    """The processor's name."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor() or "CPU")
