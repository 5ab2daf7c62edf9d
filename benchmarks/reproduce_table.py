"""Train the rows of the paper's table, one after the other, and compare the results with the published ones.

Each row is a run of a recipe, for the ablations with an overlay. Finished rows are skipped and interrupted ones resume: rerun the same
command. Arguments after `--` go to every run.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from s2m2.evaluation.results import TaskResults, load_results
from s2m2.io import write_text
from s2m2.reports.published import S2M2, S2M2_SMALL, Published
from s2m2.runs.directory import RunDirectory
from s2m2.runs.provenance import read_provenance, trained_on

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
ROWS = {"s2m2_r": None, "rotation": "rotation", "manifold_mixup": "manifold_mixup", "supervised": "supervised", "s2m2_e": "exemplar"}
"""Row of the table, and the overlay of `configs/ablations` that makes it."""
SMALL_RECIPES = ("short", "long")
"""Recipes of networks of the size of the paper's ResNet-18."""
HEADER = "| dataset | row | recipe | 1-shot | published | difference | 5-shot | published | difference | hours | hardware | trained |"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One training."""

    dataset: str
    recipe: str
    """Name of a file of `configs/<dataset>`, without its ending."""
    name: str
    seed: int

    def directory(self, runs: Path) -> RunDirectory:
        """Where the run is kept."""
        return RunDirectory(runs / f"{self.dataset}-{self.recipe}-{self.name}-seed{self.seed}")

    def command(self, runs: Path, extra: Sequence[str]) -> list[str]:
        """The call that trains and scores it."""
        overlay = ROWS[self.name]
        overlays = ["--config", str(CONFIGS / "ablations" / f"{overlay}.yaml")] if overlay else []
        recipe, directory = CONFIGS / self.dataset / f"{self.recipe}.yaml", self.directory(runs).path
        return [sys.executable, "-m", "s2m2", "run", str(recipe), *overlays, "--run", str(directory), "--seed", str(self.seed), *extra]


def cells(row: Row, runs: Path) -> list[str]:
    """The line of a row: what was measured, or that it was not."""
    run = row.directory(runs)
    reference = (S2M2_SMALL if row.recipe in SMALL_RECIPES else S2M2).get(row.dataset, {}).get(row.name)
    facts = read_provenance(run)
    seconds = [facts[stage]["seconds"] for stage in ("pretrain", "finetune", "evaluate") if "seconds" in facts.get(stage, {})]
    finished = "seconds" in facts.get("evaluate", {})
    hardware = trained_on(facts, ("pretrain", "finetune"))
    words = [row.dataset, row.name, f"{row.recipe}.yaml, seed {row.seed}"]
    for shots in (1, 5):
        words += _compared(newest(run, shots) if finished else None, reference, shots)
    ended = [f"{sum(seconds) / 3600:.2f}", hardware, facts["updated"][:10]] if finished else ["", "", "not yet"]
    return words + ended


def newest(run: RunDirectory, shots: int, stage: str | None = None) -> TaskResults | None:
    """The last 5-way result of the paper's classifier on novel classes, after a stage, by default the last one that there is."""
    results = [load_results(path) for path in run.results.glob("*.json")]
    matching = [
        one
        for one in results
        if (one.classifier, one.split, one.ways, one.shots, one.protocol) == ("cosine", "novel", 5, shots, "fixed")
        and (one.features == stage if stage else one.features != "pixels")
    ]
    return max(matching, key=lambda one: (one.features == "finetune", one.created), default=None)


def _compared(result: TaskResults | None, row: Published | None, shots: int) -> list[str]:
    reference = None if row is None else (row.one_shot if shots == 1 else row.five_shot)
    stated = "" if reference is None else f"{reference[0]:.2f}" + (f" ± {reference[1]:.2f}" if reference[1] is not None else "")
    if result is None:
        return ["", stated, ""]
    measured = 100 * result.mean
    return [f"{measured:.2f} ± {100 * result.interval:.2f}", stated, "" if reference is None else f"{measured - reference[0]:+.2f}"]


def table(rows: Sequence[Row], runs: Path, extra: Sequence[str] = ()) -> str:
    """All rows as Markdown; settings that differ from the recipes are said below it."""
    columns = HEADER.count("|") - 1
    lines = [HEADER, "|" + "---|" * columns, *(f"| {' | '.join(cells(row, runs))} |" for row in rows)]
    note = (
        "5-way, novel classes, percent: mean over tasks ± half of the 95% interval; published: Mangla et al., WACV 2020, WRN-28-10; of "
        "short and long, ResNet-18."
    )
    changed = f" All recipes with `{' '.join(extra)}`." if extra else ""
    return "\n".join([*lines, "", f"{note}{changed} Written {datetime.now(UTC):%Y-%m-%d}."])


def divided(argv: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """The arguments of a script that trains runs, and behind `--` those of every run."""
    words = list(sys.argv[1:] if argv is None else argv)
    return (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])


def parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """The arguments, and those of every run."""
    arguments, extra = divided(argv)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", choices=list(S2M2), default=["cifar_fs"])
    parser.add_argument("--recipes", nargs="+", default=["fast"], help="files of configs/DATASET: paper, fast, fast_resnet12, short")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=["s2m2_r"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/reproduce"), help="folder of the runs")
    parser.add_argument("--output", type=Path, help="file of the table, beside printing it")
    parser.add_argument("--no-training", action="store_true", help="only make the table of what there is")
    options = parser.parse_args(arguments)
    missing = [
        f"configs/{dataset}/{recipe}.yaml"
        for dataset in options.datasets
        for recipe in options.recipes
        if not (CONFIGS / dataset / f"{recipe}.yaml").is_file()
    ]
    if missing:
        parser.error(f"--recipes: there is no {missing[0]}")
    return options, extra


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing, and write the table after every row; the exit code counts the runs that failed."""
    options, extra = parse(argv)
    rows = [
        Row(dataset=dataset, recipe=recipe, name=name, seed=seed)
        for dataset in options.datasets
        for recipe in options.recipes
        for name in options.rows
        for seed in options.seeds
    ]
    failed = []
    for row in rows:
        if not options.no_training and subprocess.run(row.command(options.runs, extra), check=False).returncode:
            failed.append(row)
        if options.output:
            write_text(options.output, table(rows, options.runs, extra) + "\n")
    print(table(rows, options.runs, extra))
    for row in failed:
        print(f"failed: {json.dumps(row.__dict__)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
