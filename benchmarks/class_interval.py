"""How often the two 95% intervals of a mean accuracy cover the truth about classes and images that the evaluation has not seen.

Classes are drawn from a population that is known: centers from a normal distribution, images around them, some classes wider than
others. The truth is the mean accuracy of the nearest class mean over tasks of many hundred fresh classes. Each trial draws a few novel
classes with a few images each, scores tasks of them, and asks whether each interval contains the truth.
"""

import argparse
import math
from statistics import fmean, stdev

import torch

from s2m2.evaluation.classifiers import nearest_mean
from s2m2.evaluation.engine import Scorer
from s2m2.evaluation.intervals import class_error, mean_and_interval
from s2m2.evaluation.outcomes import Outcomes, measure_outcomes
from s2m2.random import generator_for
from s2m2.tasks.episodes import EpisodeSpec
from s2m2.tasks.sampler import TaskSampler

DIM, SPREAD, TRUTH_CLASSES, TRUTH_TASKS, TRUTH_DRAWS = 16, 1.5, 400, 4000, 8
SETTINGS = [(20, 600, 5, 1), (20, 20, 5, 1), (20, 20, 5, 5), (16, 20, 10, 1), (8, 20, 5, 1)]
"""Classes, images of each, ways, shots."""


def outcomes(classes: int, images: int, spec: EpisodeSpec, trial: int) -> Outcomes:
    """The tasks of one draw of classes and images."""
    generator = generator_for(0, "class interval", classes, images, trial)
    labels = torch.arange(classes).repeat_interleave(images)
    centers = torch.randn(classes, DIM, generator=generator)
    widths = SPREAD * torch.exp(0.4 * torch.randn(classes, 1, generator=generator))
    features = centers[labels] + widths[labels] * torch.randn(len(labels), DIM, generator=generator)
    scorer = Scorer(head=nearest_mean, stream=("nearest_mean",), seed=trial)
    return measure_outcomes(features, labels, TaskSampler(labels, spec), scorer)


def coverage(classes: int, images: int, ways: int, shots: int, tasks: int, trials: int) -> str:
    """One line of the report."""
    spec = EpisodeSpec(ways=ways, shots=shots, queries=10, tasks=tasks)
    of_truth = EpisodeSpec(ways=ways, shots=shots, queries=10, tasks=TRUTH_TASKS, seed=1)
    truth = fmean(float(outcomes(TRUTH_CLASSES, images, of_truth, -1 - draw).accuracies.mean()) for draw in range(TRUTH_DRAWS))
    means, halves, wides = [], [], []
    for trial in range(trials):
        found = outcomes(classes, images, spec, trial)
        values = found.accuracies.tolist()
        error = class_error(values, found.class_tasks.tolist(), found.class_sums.tolist())
        assert error is not None
        mean, half = mean_and_interval(values)
        means.append(mean)
        halves.append(half)
        wides.append(error.interval)
    usual, wide = (100 * fmean(abs(mean - truth) <= half for mean, half in zip(means, widths, strict=True)) for widths in (halves, wides))
    figures = (100 * truth, 100 * stdev(means), 100 * fmean(halves), 100 * fmean(wides))
    words = " | ".join(f"{figure:.2f}" for figure in figures)
    return f"| {classes} | {images} | {ways} | {shots} | {words} | {usual:.1f} | {wide:.1f} |"


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500, help="draws of classes for each line")
    parser.add_argument("--tasks", type=int, default=1000, help="tasks of each draw")
    options = parser.parse_args()
    torch.set_num_threads(1)
    error = 100 * math.sqrt(0.95 * 0.05 / options.trials)
    print(f"{options.trials} trials of {options.tasks} tasks; a coverage of 95 % has a standard error of {error:.1f} points.\n")
    names = (
        "classes",
        "images",
        "ways",
        "shots",
        "truth (%)",
        "true std",
        "usual ±",
        "wide ±",
        "usual covers (%)",
        "wide covers (%)",
    )
    print(f"| {' | '.join(names)} |")
    print("|" + "---|" * len(names))
    for setting in SETTINGS:
        print(coverage(*setting, tasks=options.tasks, trials=options.trials), flush=True)


if __name__ == "__main__":
    main()
