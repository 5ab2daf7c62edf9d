"""Coverage of the two 95% intervals of a mean accuracy, for classes and images outside the evaluation.

Classes are sampled from a known population: centers from a normal distribution, images around them, some classes wider than
others; in the skewed population one class in ten is three times as wide as it would be, so that a sample may have none of these.
The truth is the mean accuracy of the nearest class mean over tasks of many hundred fresh classes. Each trial samples a few novel
classes with a few images each, scores tasks of them, and checks whether each interval contains the truth.
"""

import argparse
import math
from statistics import fmean, stdev

import torch

from s2m2.classifiers import NearestMean
from s2m2.evaluation.intervals import class_error, mean_and_interval
from s2m2.evaluation.map_tasks import Scorer
from s2m2.evaluation.outcomes import Outcomes, measure_outcomes
from s2m2.random import generator_for
from s2m2.tasks.episodes import EpisodeSpec
from s2m2.tasks.sampler import TaskSampler

DIM, SPREAD, TRUTH_CLASSES, TRUTH_TASKS, TRUTH_SAMPLES = 16, 1.5, 400, 4000, 8
SETTINGS = [(20, 600, 5, 1), (20, 20, 5, 1), (20, 20, 5, 5), (16, 20, 10, 1), (8, 20, 5, 1)]
"""Classes, images of each, ways, shots."""
SKEWED = [(20, 600, 5, 1), (20, 600, 5, 5)]
"""The same, of the skewed population."""
HARD, WIDER = 0.1, 3.0
"""Probability of a hard class in the skewed population, and how much wider it is."""


def outcomes(classes: int, images: int, spec: EpisodeSpec, trial: int, *, skewed: bool = False) -> Outcomes:
    """The tasks of one sample of classes and images."""
    generator = generator_for(0, "class interval", classes, images, trial)
    labels = torch.arange(classes).repeat_interleave(images)
    centers = torch.randn(classes, DIM, generator=generator)
    widths = SPREAD * torch.exp(0.4 * torch.randn(classes, 1, generator=generator))
    if skewed:
        widths = torch.where(torch.rand(classes, 1, generator=generator) < HARD, WIDER * widths, widths)
    features = centers[labels] + widths[labels] * torch.randn(len(labels), DIM, generator=generator)
    scorer = Scorer(classifier=NearestMean(), stream=("nearest_mean",), seed=trial)
    return measure_outcomes(features, labels, TaskSampler(labels, spec), scorer)


def coverage(classes: int, images: int, ways: int, shots: int, *, tasks: int, trials: int, skewed: bool = False) -> str:
    """One line of the report."""
    spec = EpisodeSpec(ways=ways, shots=shots, queries=10, tasks=tasks)
    of_truth = EpisodeSpec(ways=ways, shots=shots, queries=10, tasks=TRUTH_TASKS, seed=1)
    truths = (outcomes(TRUTH_CLASSES, images, of_truth, -1 - sample, skewed=skewed) for sample in range(TRUTH_SAMPLES))
    truth = fmean(float(one.accuracies.mean()) for one in truths)
    means, halves, wides = [], [], []
    for trial in range(trials):
        measured = outcomes(classes, images, spec, trial, skewed=skewed)
        values = measured.accuracies.tolist()
        error = class_error(values, measured.class_tasks.tolist(), measured.class_sums.tolist())
        assert error is not None
        mean, half = mean_and_interval(values)
        means.append(mean)
        halves.append(half)
        wides.append(error.interval)
    usual, wide = (100 * fmean(abs(mean - truth) <= half for mean, half in zip(means, widths, strict=True)) for widths in (halves, wides))
    metrics = (100 * truth, 100 * stdev(means), 100 * fmean(halves), 100 * fmean(wides))
    words = " | ".join(f"{metric:.2f}" for metric in metrics)
    return f"| {classes}{' of a skewed population' if skewed else ''} | {images} | {ways} | {shots} | {words} | {usual:.1f} | {wide:.1f} |"


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500, help="samples of classes for each line")
    parser.add_argument("--tasks", type=int, default=1000, help="tasks of each sample")
    parser.add_argument("--short", action="store_true", help="one line of each population")
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
    for skewed, settings in ((False, SETTINGS), (True, SKEWED)):
        for setting in settings[:1] if options.short else settings:
            print(coverage(*setting, tasks=options.tasks, trials=options.trials, skewed=skewed), flush=True)


if __name__ == "__main__":
    main()
