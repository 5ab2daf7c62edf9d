"""Does the interval of `s2m2 fit` hold the accuracy on new images? Tasks from the packaged reference (features of base classes of CUB and
CIFAR-FS, 20 images each): some images of each class are labeled, the others are the new ones.

    uv run python -m benchmarks.estimate_coverage --repeats 300

The truth is itself measured on a few images, so the share covered is below 95 % where the interval is right. Hence the last column: how
much the estimate varies around the truth, beside what independent images would give for both.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import torch

from s2m2.recognition.automatic import AUTOMATIC, build_inductive
from s2m2.recognition.estimate import accuracy_interval
from s2m2.recognition.extractors import EMBEDDED
from s2m2.recognition.leaving_out import leave_out
from s2m2.recognition.reference import Reference, read_packaged

SETTINGS = ((2, 5), (3, 5), (5, 3), (5, 5), (5, 10), (8, 5), (20, 5))
"""Classes and labeled images of each."""
EPOCHS = 50
"""Of the cosine classifier, a quarter of the default: the question is the interval, not the accuracy."""


def task(reference: Reference, ways: int, shots: int, generator: np.random.Generator) -> tuple[float, float, float, float, int, int]:
    """Estimate, both ends of its interval, truth, left out images and new images of one task."""
    members, domains = reference.members(), np.array(reference.domains)
    chosen = generator.choice(np.flatnonzero(domains == generator.choice(np.unique(domains))), ways, replace=False)
    orders = [torch.from_numpy(generator.permutation(len(members[own]))) for own in chosen]
    labeled = torch.cat([members[own][order[:shots]] for own, order in zip(chosen, orders, strict=True)]).float()
    new = torch.cat([members[own][order[shots:]] for own, order in zip(chosen, orders, strict=True)]).float()
    labels = torch.arange(ways).repeat_interleave(shots)
    truth = torch.cat([torch.full((len(order) - shots,), way) for way, order in enumerate(orders)])
    classifier = build_inductive({**AUTOMATIC, "epochs": EPOCHS}, seed=0)
    left_out = leave_out(labeled, labels, classifier, 0)
    assert left_out is not None
    right = (left_out.queries.scores.argmax(-1) == left_out.ways).numpy()
    interval = accuracy_interval(right, left_out.ways.numpy())
    classifier.fit(labeled, labels)
    accuracy = float((classifier.query_scores(new).argmax(-1) == truth).double().mean())
    return float(right.mean()), interval.low, interval.high, accuracy, len(right), len(new)


def line(ways: int, shots: int, rows: Sequence[tuple[float, float, float, float, int, int]]) -> str:
    """A row of the table."""
    estimate, low, high, truth, checked, new = np.array(rows).T
    inside = (low <= truth) & (truth <= high)
    independent = np.sqrt((truth * (1 - truth) * (1 / checked + 1 / new)).mean())
    return (
        f"| {ways} | {shots} | {100 * truth.mean():.1f} | {100 * (estimate - truth).mean():+.1f} | {50 * (high - low).mean():.1f} | "
        f"{100 * inside.mean():.0f} | {100 * (estimate - truth).std():.1f} / {100 * independent:.1f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=300, help="tasks of each setting")
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    reference, generator = read_packaged(EMBEDDED), np.random.default_rng(0)
    columns = ("classes", "images", "truth", "estimate less truth", "half interval", "covers", "varies by / independent images")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for ways, shots in SETTINGS:
        print(line(ways, shots, [task(reference, ways, shots, generator) for _ in range(repeats)]), flush=True)


if __name__ == "__main__":
    main()
