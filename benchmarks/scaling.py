"""Images a second of training on one, two and more processes that share a batch, one CPU thread each.

Each measurement is a call of `s2m2 pretrain` in processes of its own, on the embedded glyphs. Its first epoch, which sets up processes and
memory, does not count. The numbers of processes alternate, as the speed of a machine drifts. More processes than cores are meaningless.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import torch

from s2m2.runs.directory import RunDirectory
from s2m2.runs.logging import read_metrics


def images_per_second(processes: int, options: argparse.Namespace) -> float:
    """The median over the log lines of all epochs but the first."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder) / "run")
        settings = {
            "run-dir": str(run.path),
            "model.backbone": options.backbone,
            "pretrain.objective": options.objective,
            "pretrain.epochs": "2",
            "pretrain.batch_size": str(options.batch_size),
            "pretrain.validation.every": "2",
            "data.holdout_fraction": str(round(1 - options.fraction, 6)),
            "runtime.accelerator": "cpu",
            "runtime.threads": "1",
            "runtime.devices": str(processes),
        }
        if options.width:
            settings["model.width"] = str(options.width)
        flags = [word for name, value in settings.items() for word in (f"--{name}", value)]
        done = subprocess.run([sys.executable, "-m", "s2m2", "pretrain", *flags], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr.strip())
        rows = [row for row in read_metrics(run.metrics) if row["kind"] == "train" and row["epoch"] > 1]
        return median(row["images_per_second"] for row in rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--backbone", default="resnet12")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--objective", default="rotation")
    parser.add_argument("--batch-size", type=int, default=64, help="images a step, over all processes")
    parser.add_argument("--fraction", "--share", type=float, default=1.0, help="of the base images to train on: smaller for a slow network")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(argv)
    load = os.getloadavg()[0]
    rates = {count: [] for count in options.processes}
    for _ in range(options.repeats):
        for count in options.processes:
            rates[count].append(images_per_second(count, options))
    one = options.processes[0]
    print(f"# Training on several CPU processes, {datetime.now(UTC):%Y-%m-%d}\n")
    print(f"`python -m benchmarks.scaling {' '.join(argv if argv is not None else sys.argv[1:])}`\n")
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, torch "
        f"{torch.__version__}. {options.backbone}, width {options.width}, {options.objective}, batches of {options.batch_size} in all; "
        f"medians of {options.repeats} alternating repeats, minimum and maximum in brackets. Load before: {load:.1f}.\n"
    )
    print("| processes | images/s | efficiency |\n|---|---|---|")
    for count, measured in rates.items():
        efficiencies = [rate * one / (base * count) for rate, base in zip(measured, rates[one], strict=True)]
        print(f"| {count} | {median(measured):,.0f} ({min(measured):,.0f} to {max(measured):,.0f}) | {median(efficiencies):.0%} |")


if __name__ == "__main__":
    main()
