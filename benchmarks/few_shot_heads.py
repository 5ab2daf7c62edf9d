"""Tasks per second of the few-shot heads, sampling included, against a plain loop over tasks on the same features.

12,000 x 640 random features of 20 classes, 5-way, 15 queries. The plain loop takes one task at a time: class means and distances, or a
cosine classifier fitted by autograd and `torch.optim.SGD` (the slow twin of the tests, the paper's protocol of 200 epochs).
"""

import argparse
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median

import torch

from s2m2.data.episodes import EpisodeSpec, sample_episodes
from s2m2.evaluation.classifiers import build_classifier
from s2m2.evaluation.evaluate import score_tasks
from s2m2.evaluation.features import FeatureTable
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.training import HeadName
from s2m2.seeding import generator_for
from tests.reference.cosine_classifier import fit


def features() -> FeatureTable:
    """Classes that overlap, so that accuracies lie between chance and certainty."""
    generator = generator_for(0, "benchmark")
    labels = torch.arange(20).repeat_interleave(600)
    centres = torch.randn(20, 640, generator=generator)
    values = (centres[labels] + 4 * torch.randn(12_000, 640, generator=generator)).relu()
    return FeatureTable(features=values, labels=labels, rows=torch.arange(12_000), class_names=tuple(map(str, range(20))), fingerprint="")


def plain_loop(table: FeatureTable, spec: EpisodeSpec, head: HeadName, config: EvaluateConfig) -> list[float]:
    """Accuracies of a head, one task at a time."""
    episodes = sample_episodes(table.labels, spec)
    labels = torch.arange(spec.ways)
    accuracies = []
    for task in range(len(episodes)):
        support, query = table.features[episodes.support[task]], table.features[episodes.query[task]].flatten(0, 1)
        if head == "nearest_mean":
            scores = -torch.cdist(query, support.mean(dim=1))
        else:
            items = spec.ways * spec.shots
            initial = (torch.rand(spec.ways, support.shape[-1]) * 2 - 1) * support.shape[-1] ** -0.5
            orders = torch.stack([torch.randperm(items) for _ in range(config.cosine.epochs)])
            with torch.enable_grad():
                model = fit(initial, support.flatten(0, 1), labels.repeat_interleave(spec.shots), orders, config.cosine)
            scores = model(query.double()).detach()
        accuracies.append(float((scores.argmax(dim=1) == labels.repeat_interleave(spec.queries)).float().mean()))
    return accuracies


def seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """Wall seconds of each repeat after one warm-up."""
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return times


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=4096, help="tasks of the batched side")
    parser.add_argument("--loop-tasks", type=int, default=8, help="tasks of the plain loop")
    parser.add_argument("--repeats", type=int, default=5, help="timed repeats after a warm-up")
    options = parser.parse_args()
    table, config = features(), EvaluateConfig()
    print(f"# Few-shot heads, {datetime.now(UTC):%Y-%m-%d}\n")
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} torch threads, torch {torch.__version__}, Python", end=" "
    )
    print(f"{platform.python_version()}. Median of {options.repeats} repeats after a warm-up, slowest in brackets.\n")
    print("| head | shots | tasks/s | plain loop, tasks/s | ratio |\n|---|---|---|---|---|")
    heads: tuple[HeadName, ...] = ("nearest_mean", "cosine")
    for head in heads:
        for shots in (1, 5):
            spec = EpisodeSpec(ways=5, shots=shots, queries=15, tasks=options.tasks)
            few = EpisodeSpec(ways=5, shots=shots, queries=15, tasks=options.loop_tasks)
            classifier = build_classifier(head, config)
            ours = seconds(lambda: score_tasks(table, spec, classifier, head=head), options.repeats)  # noqa: B023 (called at once)
            loop = seconds(lambda: plain_loop(table, few, head, config), options.repeats)  # noqa: B023
            rate, slowest, plain = options.tasks / median(ours), options.tasks / max(ours), options.loop_tasks / median(loop)
            print(f"| {head} | {shots} | {rate:,.0f} ({slowest:,.0f}) | {plain:,.1f} | {rate / plain:,.0f} |")


if __name__ == "__main__":
    main()
