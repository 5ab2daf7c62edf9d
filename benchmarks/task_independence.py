"""Are the tasks of an evaluation independent? The spread of mean accuracies over seeds, against the intervals that results state.

Features and classes stay the same; a seed brings other tasks and other random numbers of the classifiers. Where tasks are independent,
the variance of the mean over seeds is that which a result states, variance of a task / tasks, and their ratio is 1; where tasks share
random numbers, it is larger. The ratio of S seeds has a 95% interval by the chi-square distribution with S - 1 degrees of freedom. The
same for the difference of two classifiers on the same tasks.

With `--same-tasks` a seed changes nothing but the random numbers that a classifier shares between tasks, as the noise of `calibrated` is:
what they add to the variance stands out, as the tasks themselves add nothing.

Features are made up: overlapping classes of 640 dimensions, none negative. Slow classifiers get fewer tasks.
"""

import argparse
import platform
import time
from itertools import combinations

import numpy as np
import torch
from scipy.stats import chi2

from benchmarks.episode_throughput import feature_set_of
from s2m2.classifiers import CLASSIFIERS, BaseStatistics, build_classifier
from s2m2.evaluation.accuracies import score_tasks
from s2m2.evaluation.features import FeatureSet
from s2m2.random import generator_for
from s2m2.tasks.episodes import EpisodeSpec

DIM, CLASSES, IMAGES, SPREAD = 640, 20, 200, 4.0
TASKS = {
    "calibrated": 8,
    "tim": 16,
    "alpha_tim": 16,
    "tim_fast": 40,
    "alpha_tim_fast": 40,
    "transductive_finetuning": 40,
    "pt_map": 128,
}
"""Tasks of slow classifiers."""


def made_up(purpose: str) -> FeatureSet:
    """Classes around centers of their own."""
    generator = generator_for(0, "task independence", purpose)
    labels = torch.arange(CLASSES).repeat_interleave(IMAGES)
    values = torch.randn(CLASSES, DIM, generator=generator)[labels] + SPREAD * torch.randn(len(labels), DIM, generator=generator)
    return feature_set_of(values.relu(), labels)


def ratio(values: np.ndarray, *, same_tasks: bool = False) -> tuple[float, float, float]:
    """Variance of the mean over seeds by the mean stated variance, with its interval.

    Args:
        values: "seed task", accuracies or differences of accuracies.
        same_tasks: all seeds have the same tasks, so that the variance of a task is that over seeds.
    """
    seeds, tasks = values.shape
    stated = float(values.var(axis=0 if same_tasks else 1, ddof=1).mean() / tasks)
    found = float(values.mean(axis=1).var(ddof=1)) / stated if stated else 1.0
    low, high = (found * (seeds - 1) / float(chi2.ppf(level, seeds - 1)) for level in (0.975, 0.025))
    return found, low, high


def line(name: str, values: np.ndarray, *, same_tasks: bool = False) -> str:
    """One line of the report."""
    found, low, high = ratio(values, same_tasks=same_tasks)
    holds = "yes" if low <= 1 <= high else "no"
    return f"| {name} | {values.shape[1]} | {100 * values.mean():.2f} | {found:.2f} | {low:.2f} to {high:.2f} | {holds} |"


def spec_of(options: argparse.Namespace, tasks: int, seed: int) -> EpisodeSpec:
    """The tasks of a seed."""
    seed = options.first_seed if options.same_tasks else seed
    return EpisodeSpec(ways=5, shots=options.shots, queries=15, tasks=tasks, seed=seed)


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=0, help="another one repeats the measurement with other tasks")
    parser.add_argument("--tasks", type=int, default=1024, help="tasks of each seed, of the faster classifiers")
    parser.add_argument("--same-tasks", action="store_true", help="a seed changes only what a classifier shares between tasks")
    parser.add_argument("--slow-tasks", type=int, default=1, help="multiplier of the numbers of tasks of slow classifiers")
    parser.add_argument("--shots", type=int, default=1)
    parser.add_argument("--classifiers", nargs="+", default=list(CLASSIFIERS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    features, base, began = made_up("novel"), made_up("base"), time.process_time()
    statistics = BaseStatistics.from_features(base.features, base.labels)
    accuracies, seeds = {}, range(options.first_seed, options.first_seed + options.seeds)
    for name in options.classifiers:
        tasks = min(options.slow_tasks * TASKS.get(name, options.tasks), options.tasks)
        scores = [score_tasks(features, spec_of(options, tasks, seed), build_classifier(name, statistics, seed=seed)) for seed in seeds]
        accuracies[name] = np.stack([one.numpy() for one in scores])
    header = "| {} | tasks a seed | {} | ratio | 95% interval | holds 1 |\n|---|---|---|---|---|---|"
    print(
        f"Seeds {seeds[0]} to {seeds[-1]}{' on the same tasks' if options.same_tasks else ''}, 5-way {options.shots}-shot, "
        f"torch {torch.__version__}, Python {platform.python_version()}, one thread, {time.process_time() - began:.0f} s of CPU time.\n"
    )
    print(header.format("classifier", "accuracy (%)"))
    print("\n".join(line(name, values, same_tasks=options.same_tasks) for name, values in accuracies.items()), flush=True)
    if not options.same_tasks:
        print_differences(accuracies, header)


def print_differences(accuracies: dict[str, np.ndarray], header: str) -> None:
    """The same of all paired differences."""
    pairs = {}
    for first, second in combinations(accuracies, 2):
        common = min(accuracies[first].shape[1], accuracies[second].shape[1])
        pairs[f"{second} - {first}"] = accuracies[second][:, :common] - accuracies[first][:, :common]
    bounds = [ratio(values)[1:] for values in pairs.values()]
    inside = sum(low <= 1 <= high for low, high in bounds)
    print(f"\nOf {len(pairs)} paired differences, the interval holds 1 for {inside}.\n")
    print(header.format("difference", "mean (points)"))
    print("\n".join(line(name, values) for name, values in pairs.items()))


if __name__ == "__main__":
    main()
