"""Write what a recipe should give, from finished runs of it: `NAME.expected.json` beside `NAME.yaml`.

    python -m benchmarks.expected runs/short-seed0 runs/short-seed1 runs/short-seed2 --output configs/cifar_fs/short.expected.json

The runs differ in seeds and machines only, and each is trained and scored to its end. `s2m2 run NAME.yaml` then says what to expect, and
compares the validation score of every epoch. The spread over seeds takes two runs or more; three are better.
"""

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from s2m2.errors import InputError
from s2m2.evaluation.results import TaskResults, newest_results, read_results
from s2m2.recipe import Recipe, read_recipe
from s2m2.runs.checkpoint import Outcome, load_outcome
from s2m2.runs.directory import STAGES, RunDirectory, require_run
from s2m2.runs.expectation import (
    SUFFIX,
    Expectation,
    ExpectedEpoch,
    ExpectedScore,
    ExpectedStage,
    digests_of,
    settings_that_matter,
    write_expectation,
)
from s2m2.runs.logging import read_metrics
from s2m2.runs.provenance import read_provenance, trained_on
from s2m2.runs.trained_images import ROLES, read_images

RESOLVED = ("data.image_size", "data.resize_ratio", "data.mean", "data.std")
"""Settings that a recipe file may leave to the dataset, and a run states."""


def expectation_of(runs: Sequence[RunDirectory]) -> Expectation:
    """What finished runs of one recipe gave.

    Raises:
        InputError: a run is not finished, or differs from the first in more than seed and machine.
    """
    recipes, facts = [_finished_recipe(run) for run in runs], [read_provenance(run) for run in runs]
    images = [_images(run) for run in runs]
    settings = settings_that_matter(recipes[0])
    for run, recipe, digests in zip(runs, recipes, images, strict=True):
        other = [name for name, value in settings_that_matter(recipe).items() if value != settings[name]]
        if other or digests != images[0]:
            what = ", ".join(other) or "its images"
            raise InputError(f"{run.path} differs from {runs[0].path} in {what}; only seed, runtime and evaluation may differ")
    seeds = [recipe.seed for recipe in recipes]
    if len(set(seeds)) < len(seeds):
        raise InputError(f"the runs have the seeds {', '.join(map(str, seeds))}, but must have one each")
    return Expectation(
        created=datetime.now(UTC).date().isoformat(),
        seeds=tuple(seeds),
        hours=round(statistics.fmean(_seconds(one) for one in facts) / 3600, 5),
        hardware=tuple(dict.fromkeys(trained_on(one, STAGES) for one in facts)),
        precision=tuple(dict.fromkeys(str(one["runtime"]["precision"]) for one in facts)),
        packages=dict(facts[-1]["packages"]),
        settings=settings,
        images=images[0],
        stages={stage: _stage(runs, stage) for stage in STAGES if load_outcome(runs[0].outcome(stage)) is not None},
        scores=_scores(runs),
    )


def _finished_recipe(run: RunDirectory) -> Recipe:
    require_run(run)
    if run.imported.is_file():
        raise InputError(f"{run.path} has imported weights; what to expect comes from runs that were trained to their end")
    recipe = read_recipe(run.recipe)
    missing = [
        config.stage for config in (recipe.pretrain, recipe.finetune) if config.epochs and not load_outcome(run.outcome(config.stage))
    ]
    if missing or "seconds" not in read_provenance(run).get("evaluate", {}):
        raise InputError(f"{run.path} has not finished {missing[0] if missing else 'its evaluation'}")
    return recipe


def _images(run: RunDirectory) -> dict[str, dict[str, str]]:
    images = read_images(run)
    if images is None:
        raise InputError(f"{run.path} does not say what images it is trained on; it is of an older version")
    return {role: digests_of(images[role]) for role in ROLES}


def _seconds(facts: Mapping[str, Any]) -> float:
    return sum(facts[stage]["seconds"] for stage in (*STAGES, "evaluate") if stage in facts)


def _spread(values: Sequence[float]) -> float | None:
    return round(statistics.stdev(values), 6) if len(values) > 1 else None


def _stage(runs: Sequence[RunDirectory], stage: str) -> ExpectedStage:
    of_epoch: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for run in runs:
        for row in read_metrics(run.metrics):
            if (row["stage"], row["kind"]) == (stage, "validation"):
                of_epoch[round(row["epoch"])].append((row["score"], row["interval"]))
    outcomes: list[Outcome] = [outcome for run in runs if (outcome := load_outcome(run.outcome(stage))) is not None]
    return ExpectedStage(
        minutes_per_epoch=round(statistics.fmean(one.seconds / one.epochs for one in outcomes) / 60, 4),
        epochs={
            epoch: ExpectedEpoch(
                score=round(statistics.fmean(score for score, _ in values), 6),
                spread=_spread([score for score, _ in values]),
                interval=round(statistics.fmean(interval for _, interval in values), 6),
                runs=len(values),
            )
            for epoch, values in sorted(of_epoch.items())
        },
    )


def _scores(runs: Sequence[RunDirectory]) -> tuple[ExpectedScore, ...]:
    of_kind: dict[tuple[Any, ...], list[TaskResults]] = defaultdict(list)
    for run in runs:
        for one in newest_results(read_results(run))[0]:
            if one.split == "novel" and one.features in STAGES and not one.transforms:
                of_kind[one.features, one.classifier, one.protocol, one.ways, one.shots, one.queries, one.tasks].append(one)
    kinds = {kind: results for kind, results in of_kind.items() if len(results) == len(runs)}
    if not kinds:
        raise InputError("the runs have no novel score in common")
    return tuple(_score(kind, kinds[kind]) for kind in sorted(kinds, key=lambda kind: (STAGES.index(kind[0]), *kind[1:])))


def _score(kind: tuple[Any, ...], results: Sequence[TaskResults]) -> ExpectedScore:
    names = ("features", "classifier", "protocol", "ways", "shots", "queries", "tasks")
    over_classes = [one.class_interval for one in results if one.class_interval is not None]
    return ExpectedScore(
        **dict(zip(names, kind, strict=True)),
        mean=round(statistics.fmean(one.mean for one in results), 6),
        spread=_spread([one.mean for one in results]),
        interval=round(statistics.fmean(one.interval for one in results), 6),
        class_interval=round(statistics.fmean(over_classes), 6) if len(over_classes) == len(results) else None,
    )


def check_recipe(expectation: Expectation, recipe_file: Path) -> None:
    """Raise `InputError` unless a recipe file has the settings of an expectation."""
    stated = settings_that_matter(read_recipe(recipe_file))
    other = [
        name
        for name, value in expectation.settings.items()
        if stated.get(name) != value and not (name in RESOLVED and stated[name] is None)
    ]
    if other:
        raise InputError(f"{recipe_file} is not the recipe of the runs: {', '.join(other)} differ")


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file; the exit code is 2 where that cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="directory of a finished run")
    parser.add_argument("--output", type=Path, required=True, help=f"NAME{SUFFIX}; beside NAME.yaml, whose settings are then compared")
    options = parser.parse_args(argv)
    try:
        if not options.output.name.endswith(SUFFIX):
            raise InputError(f"--output {options.output} must end in {SUFFIX}")
        expectation = expectation_of([RunDirectory(path) for path in options.runs])
        recipe_file = options.output.with_name(options.output.name.removesuffix(SUFFIX) + ".yaml")
        if recipe_file.is_file():
            check_recipe(expectation, recipe_file)
        write_expectation(options.output, expectation)
    except InputError as error:
        print(f"expected: {error}", file=sys.stderr)
        return 2
    print(f"{options.output}: {len(options.runs)} runs, {sum(len(stage.epochs) for stage in expectation.stages.values())} validations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
