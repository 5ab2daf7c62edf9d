"""What each ingredient of S2M2 is worth at a small budget: the paper's ablation, in pairs on the same tasks, over several seeds.

Every row is a run of one recipe with an overlay of `configs/ablations` and the epochs of this script; a run with two stages is two
rows. `supervised_longer` has as many images through the network as S2M2_R in both stages. Finished runs are skipped and interrupted
ones resume: rerun the same command.

    python -m benchmarks.ablation --output benchmarks/reports/ablation-2026-11-28.md

Differences are means over the seeds of paired differences on the same tasks; the interval is that over classes, of the mean over seeds.
Arguments after `--` go to every run.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.reproduce_table import CONFIGS, divided, newest
from s2m2.errors import InputError
from s2m2.evaluation.compare import different_field
from s2m2.evaluation.intervals import class_error
from s2m2.evaluation.results import TaskResults
from s2m2.io import write_text
from s2m2.recipe import read_recipe
from s2m2.runs.directory import RunDirectory
from s2m2.runs.provenance import read_provenance, trained_on

SHOTS = (1, 5)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One training."""

    overlay: str | None
    """File of `configs/ablations`; None: the recipe as it stands, which is S2M2_R."""
    stages: int = 1
    longer: bool = False
    """As many images through the network in one stage as S2M2_R has in two."""


ARMS = {
    "supervised": Arm(overlay="supervised"),
    "supervised_longer": Arm(overlay="supervised", longer=True),
    "manifold_mixup": Arm(overlay="manifold_mixup"),
    "s2m2_r": Arm(overlay=None, stages=2),
    "s2m2_e": Arm(overlay="exemplar", stages=2),
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the table: what training with one ingredient more gives."""

    title: str
    arm: str
    stage: str


LINES = (
    Line(title="supervised, cosine head", arm="supervised", stage="pretrain"),
    Line(title="the same, for as many images as S2M2_R", arm="supervised_longer", stage="pretrain"),
    Line(title="manifold mixup alone", arm="manifold_mixup", stage="pretrain"),
    Line(title="rotation", arm="s2m2_r", stage="pretrain"),
    Line(title="exemplar", arm="s2m2_e", stage="pretrain"),
    Line(title="S2M2_R", arm="s2m2_r", stage="finetune"),
    Line(title="S2M2_E", arm="s2m2_e", stage="finetune"),
)
PAIRS = (("S2M2_R", "rotation"), ("S2M2_E", "exemplar"), ("S2M2_R", "the same, for as many images as S2M2_R"))
"""Rows that are compared besides each with the first."""


def epochs_of(arm: Arm, recipe: Path, pretrain: int, finetune: int) -> dict[str, int]:
    """Epochs of both stages.

    Stage 2 takes one image in `finetune.auxiliary_stride` through the network a second time, for its auxiliary losses.
    """
    second = finetune * (1 + 1 / read_recipe(recipe).finetune.auxiliary_stride)
    return {"pretrain.epochs": pretrain + round(second) * arm.longer, "finetune.epochs": finetune * (arm.stages == 2)}


def directory(options: argparse.Namespace, arm: str, seed: int) -> RunDirectory:
    """Where a run is kept."""
    return RunDirectory(options.runs / f"{arm}-seed{seed}")


def command(options: argparse.Namespace, name: str, seed: int, extra: Sequence[str]) -> list[str]:
    """The call that trains and scores a run."""
    arm = ARMS[name]
    overlay = ["--config", str(CONFIGS / "ablations" / f"{arm.overlay}.yaml")] if arm.overlay else []
    epochs = epochs_of(arm, options.recipe, options.pretrain_epochs, options.finetune_epochs)
    features = ["pretrain", "finetune"][: arm.stages]
    settings = [word for flag, value in epochs.items() for word in (f"--{flag}", str(value))]
    return [
        sys.executable, "-m", "s2m2", "run", str(options.recipe), *overlay, "--run", str(directory(options, name, seed).path), "--seed",
        str(seed), *settings, "--evaluate.features", *features, "--evaluate.classifiers", "cosine", *extra,
    ]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The results of one row at one number of shots, one of each seed, all of the same tasks."""

    results: tuple[TaskResults, ...]

    @property
    def mean(self) -> float:
        """Over seeds and tasks, a fraction."""
        return statistics.fmean(one.mean for one in self.results)

    @property
    def interval(self) -> float | None:
        """Half width of the 95% interval over classes, of the mean over seeds."""
        return self._interval([np.asarray(one.per_task) for one in self.results], [_sums(one) for one in self.results])

    def minus(self, other: "Scores") -> tuple[float, float | None, list[float]]:
        """Mean difference, half width of its interval over classes, and the difference of each seed.

        Raises:
            InputError: two results are of different tasks.
        """
        pairs = list(zip(self.results, other.results, strict=True))
        for one, two in pairs:
            if differs := different_field(one, two):
                raise InputError(f"the runs are scored on different tasks: {differs}")
        values = [np.asarray(one.per_task) - np.asarray(two.per_task) for one, two in pairs]
        sums = [_sums(one) - _sums(two) for one, two in pairs]
        seeds = [float(value.mean()) for value in values]
        return statistics.fmean(seeds), self._interval(values, sums), seeds

    def _interval(self, values: list[np.ndarray], sums: list[np.ndarray]) -> float | None:
        tallies = self.results[0].class_tallies
        error = None if tallies is None else class_error(np.mean(values, axis=0).tolist(), tallies[0], np.mean(sums, axis=0).tolist())
        return None if error is None else error.interval


def _sums(result: TaskResults) -> np.ndarray:
    tallies = result.class_tallies
    if tallies is None:
        raise InputError("the results do not state their classes; evaluate with --evaluate.details true")
    return np.asarray(tallies[1])


def scores(options: argparse.Namespace, line: Line, shots: int) -> Scores | None:
    """The results of a row; None until every seed is there."""
    found = []
    for seed in options.seeds:
        run = directory(options, line.arm, seed)
        one = newest(run, shots, line.stage) if "seconds" in read_provenance(run).get("evaluate", {}) else None
        if one is None:
            return None
        found.append(one)
    return Scores(results=tuple(found))


def hours(options: argparse.Namespace, line: Line) -> float:
    """Training of a row, mean over seeds; of its earlier stage, too."""
    stages = ("pretrain", "finetune")[: 1 + (line.stage == "finetune")]
    facts = [read_provenance(directory(options, line.arm, seed)) for seed in options.seeds]
    return statistics.fmean(sum(one[stage]["seconds"] for stage in stages) for one in facts) / 3600


def _percent(value: float, interval: float | None, sign: str = "") -> str:
    return f"{100 * value:{sign}.2f}" + (f" ± {100 * interval:.2f}" if interval is not None else "")


def report(options: argparse.Namespace, extra: Sequence[str]) -> str:
    """Both tables in Markdown, as far as the runs are finished."""
    of_line = {line.title: {shots: scores(options, line, shots) for shots in SHOTS} for line in LINES}
    base = of_line[LINES[0].title]
    rows = []
    for line in LINES:
        cells = [line.title]
        for shots in SHOTS:
            one, first = of_line[line.title][shots], base[shots]
            cells.append("not yet" if one is None else _percent(one.mean, one.interval))
            cells.append("" if one is None or first is None or one is first else _difference(one, first))
        cells.append(f"{hours(options, line):.2f}" if of_line[line.title][1] else "")
        rows.append(cells)
    pairs = []
    for title, other in PAIRS:
        sides = [(of_line[title][shots], of_line[other][shots]) for shots in SHOTS]
        pairs.append([f"{title} - {other}", *("not yet" if one is None or two is None else _difference(one, two) for one, two in sides)])
    facts = [read_provenance(directory(options, line.arm, seed)) for line in LINES for seed in options.seeds]
    hardware = "; ".join(dict.fromkeys(filter(None, (trained_on(one, ("pretrain", "finetune")) for one in facts))))
    title, seeds = f"# What each ingredient is worth, {datetime.now(UTC):%Y-%m-%d}", ", ".join(map(str, options.seeds))
    text = (
        f"Recipe {options.recipe.name} with {options.pretrain_epochs} epochs of stage 1 and {options.finetune_epochs} of stage 2, seeds "
        f"{seeds}; {'`' + ' '.join(extra) + '`; ' if extra else ''}trained on {hardware or 'nothing yet'}. 5-way, novel classes, cosine "
        "classifier, percent; means over seeds ± half of the 95% interval over classes. Differences are paired, on the same tasks; in "
        "brackets that of each seed. Weights are selected on validation classes."
    )
    head = ["row", "1-shot", "minus supervised", "5-shot", "minus supervised", "hours"]
    return "\n\n".join([title, text, _table(head, rows), _table(["pair", "1-shot", "5-shot"], pairs)])


def _difference(one: Scores, other: Scores) -> str:
    mean, interval, seeds = one.minus(other)
    return f"{_percent(mean, interval, '+')} ({', '.join(f'{100 * value:+.2f}' for value in seeds)})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """The arguments, and those of every run."""
    arguments, extra = divided(argv)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=CONFIGS / "cifar_fs" / "short.yaml")
    parser.add_argument("--pretrain-epochs", type=int, default=10)
    parser.add_argument("--finetune-epochs", type=int, default=3)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS), help="runs that are trained now")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--runs", type=Path, default=Path("runs/ablation"), help="folder of the runs")
    parser.add_argument("--output", type=Path, help="file of the report, written after every run, beside printing it")
    options = parser.parse_args(arguments)
    if not options.recipe.is_file():
        parser.error(f"--recipe: there is no {options.recipe}")
    if options.pretrain_epochs < 1 or options.finetune_epochs < 1:
        parser.error("--pretrain-epochs and --finetune-epochs must be 1 or more")
    return options, extra


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing, and write the report after every run; the exit code counts the runs that failed."""
    options, extra = parse(argv)
    failed = []
    for seed in options.seeds:
        for name in options.arms:
            if subprocess.run(command(options, name, seed, extra), check=False).returncode:
                failed.append(f"{name}, seed {seed}")
            elif options.output:
                write_text(options.output, report(options, extra) + "\n")
    print(report(options, extra))
    for one in failed:
        print(f"failed: {one}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
