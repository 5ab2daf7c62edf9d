"""How often the two p-values of a paired comparison lie below 0.05 where the difference is zero for the population of classes.

A class has a center in each of two feature spaces, independent and of one distribution, so neither is better for classes of this kind;
for the few classes of a trial one of them is. Nearest class mean, on the same tasks.
"""

import argparse
import math
from dataclasses import replace

import torch
from scipy.stats import ttest_rel

from s2m2.classifiers import NearestMean
from s2m2.evaluation.intervals import class_error
from s2m2.evaluation.map_tasks import Scorer
from s2m2.evaluation.outcomes import Outcomes, measure_outcomes
from s2m2.random import generator_for
from s2m2.tasks.episodes import EpisodeSpec
from s2m2.tasks.sampler import TaskSampler

DIM, SPREAD = 16, 1.5
SETTINGS = [(20, 600, 5, 1), (20, 100, 5, 5), (16, 100, 5, 1), (10, 100, 5, 1), (6, 100, 5, 1)]
"""Classes, images of each, ways, shots."""


def outcomes(classes: int, images: int, spec: EpisodeSpec, trial: int, space: int) -> Outcomes:
    """The tasks of one sample of classes in one of the spaces."""
    generator = generator_for(0, "paired p-values", classes, images, trial, space)
    labels = torch.arange(classes).repeat_interleave(images)
    centers = torch.randn(classes, DIM, generator=generator)
    widths = SPREAD * torch.exp(0.4 * torch.randn(classes, 1, generator=generator))
    features = centers[labels] + widths[labels] * torch.randn(len(labels), DIM, generator=generator)
    scorer = Scorer(classifier=NearestMean(), stream=("nearest_mean",), seed=trial)
    return measure_outcomes(features, labels, TaskSampler(labels, replace(spec, seed=trial)), scorer)


def line(classes: int, images: int, ways: int, shots: int, tasks: int, trials: int) -> str:
    """One line of the report."""
    spec, below = EpisodeSpec(ways=ways, shots=shots, queries=10, tasks=tasks), [0, 0]
    for trial in range(trials):
        one, other = (outcomes(classes, images, spec, trial, space) for space in (0, 1))
        differences = (other.accuracies - one.accuracies).tolist()
        error = class_error(differences, one.class_tasks.tolist(), (other.class_sums - one.class_sums).tolist())
        assert error is not None
        below[0] += error.p_value(sum(differences) / tasks) < 0.05
        below[1] += float(ttest_rel(other.accuracies, one.accuracies).pvalue) < 0.05
    shares = [100 * count / trials for count in below]
    errors = [100 * math.sqrt(max(share * (100 - share), 1) / 1e4 / trials) for share in shares]
    words = " | ".join(f"{share:.1f} ± {1.96 * error:.1f}" for share, error in zip(shares, errors, strict=True))
    return f"| {classes} | {images} | {ways} | {shots} | {words} |"


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=300, help="samples of classes for each line")
    parser.add_argument("--tasks", type=int, default=1000, help="tasks of each sample")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{options.trials} trials of {options.tasks} tasks, torch {torch.__version__}, one thread; share of p < 0.05 in percent.\n")
    print("| classes | images | ways | shots | over classes | these classes again |\n|---|---|---|---|---|---|")
    for setting in SETTINGS:
        print(line(*setting, tasks=options.tasks, trials=options.trials), flush=True)


if __name__ == "__main__":
    main()
