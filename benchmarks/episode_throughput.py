"""Tasks per second of every few-shot classifier, sampling included, next to the authors' loop, learn2learn and the memory's own limit.

12,000 x 640 features of 20 classes, 5-way, 15 queries; every side samples its tasks from the same features, alternating within one run.
`--features` takes real ones (`features` and `labels` of an .npz); without it, features are synthetic: overlapping classes.
With `--device cuda`: wall seconds for 10,000 tasks of every classifier on the GPU, and its peak memory.
"""

import argparse
import platform
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.float32 import float32_words
from s2m2.classifiers import CLASSIFIERS, BaseStatistics, build_classifier, load_class
from s2m2.evaluation.accuracies import score_tasks
from s2m2.evaluation.features import FeatureSet
from s2m2.random import generator_for
from s2m2.tasks.episodes import EpisodeSpec
from s2m2.tasks.sampler import sample_tasks
from tests.reference.authors_loop import task_accuracy

WAYS, QUERIES = 5, 15
MIN_TASKS = 512
"""Two blocks, one for each of two threads."""
LONG = 20.0
"""Seconds from which one run is enough."""
GPU_TASKS, GPU_SECONDS = 10_000, 10.0
"""Tasks of every classifier that a GPU is to score, and in how many seconds."""


def made_up_features(classes: int, name: str) -> FeatureSet:
    """Classes of 600 images that overlap, so that accuracies lie between chance level and 1; no feature is negative."""
    generator = generator_for(0, "benchmark", name)
    labels = torch.arange(classes).repeat_interleave(600)
    values = (torch.randn(classes, 640, generator=generator)[labels] + 4 * torch.randn(600 * classes, 640, generator=generator)).relu()
    return feature_set_of(values, labels)


def feature_set_of(values: torch.Tensor, labels: torch.Tensor) -> FeatureSet:
    names = tuple(str(number) for number in range(int(labels.max()) + 1))
    return FeatureSet(features=values, labels=labels, indices=torch.arange(len(labels)), class_names=names, fingerprint="")


def read_features(path: Path) -> FeatureSet:
    with np.load(path, allow_pickle=False) as stored:
        numbers = np.unique(stored["labels"], return_inverse=True)[1]
        return feature_set_of(torch.from_numpy(stored["features"]).float(), torch.from_numpy(numbers))


def seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """Wall seconds of each repeat after one warm-up."""
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return times


def spec(shots: int, tasks: int) -> EpisodeSpec:
    return EpisodeSpec(ways=WAYS, shots=shots, queries=QUERIES, tasks=tasks)


def authors(features: FeatureSet, shots: int, tasks: int) -> Callable[[], float]:
    by_class = {number: features.features[features.labels == number].numpy() for number in features.labels.unique().tolist()}
    rng = np.random.default_rng(0)
    return lambda: float(np.mean([task_accuracy(by_class, WAYS, shots, QUERIES, rng) for _ in range(tasks)]))


def learn2learn_prototypes(features: FeatureSet, shots: int, tasks: int) -> Callable[[], float]:
    """learn2learn's task transforms over its `MetaDataset`, and its prototype classifier."""
    import learn2learn as l2l

    items = torch.utils.data.TensorDataset(features.features, features.labels)
    dataset = l2l.data.MetaDataset(items, indices_to_labels=dict(enumerate(features.labels.tolist())))
    transforms = [
        l2l.data.transforms.NWays(dataset, WAYS),
        l2l.data.transforms.KShots(dataset, shots + QUERIES),
        l2l.data.transforms.LoadData(dataset),
        l2l.data.transforms.RemapLabels(dataset),
        l2l.data.transforms.ConsecutiveLabels(dataset),
    ]

    def evaluate() -> float:
        taskset, correct = l2l.data.Taskset(dataset, task_transforms=transforms), 0.0
        for _ in range(tasks):
            data, labels = taskset.sample()
            support = torch.arange(len(labels)).reshape(WAYS, -1)[:, :shots].flatten()
            query = torch.ones(len(labels), dtype=torch.bool).index_fill(0, support, False)
            classifier = l2l.nn.PrototypicalClassifier(data[support], labels[support])
            correct += float((classifier(data[query]).argmax(1) == labels[query]).float().mean())
        return correct / tasks

    return evaluate


def copy_rate(features: FeatureSet) -> float:
    """Bytes a second that all threads together read, and write elsewhere, copying the features."""
    target = torch.empty_like(features.features)
    times = seconds(lambda: [target.copy_(features.features) for _ in range(20)], 5)
    return 20 * features.features.nbytes / median(times)


def number_of_tasks(score: Callable[[int], object], options: argparse.Namespace) -> int:
    """Tasks of a repeat, for about the wanted seconds; enough of them that all threads have work."""
    for trial in (32, 2048):  # batched classifiers reach their speed on many tasks only
        took = seconds(lambda: score(trial), 1)[0]  # noqa: B023
        if took > 1:
            break
    return min(max(int(options.seconds * trial / took), MIN_TASKS), options.tasks)


def rows_of_classifiers(features: FeatureSet, base: BaseStatistics, options: argparse.Namespace) -> Iterator[str]:
    for name in options.classifiers:
        for shots in (1, 5):
            classifier = build_classifier(name, base)
            tasks = number_of_tasks(lambda count: score_tasks(features, spec(shots, count), classifier), options)  # noqa: B023
            began = time.perf_counter()
            accuracy = score_tasks(features, spec(shots, tasks), classifier)
            times = [time.perf_counter() - began]
            if times[0] < LONG:  # else the only one: what is done for the first time is nothing beside it
                times = seconds(lambda: score_tasks(features, spec(shots, tasks), classifier), options.repeats)  # noqa: B023
            mean, half = 100 * float(accuracy.mean()), 196 * float(accuracy.std()) / tasks**0.5
            kind = "transductive" if classifier.transductive else "inductive"
            yield (
                f"| {name} | {kind} | {shots} | {tasks / median(times):,.0f} ({tasks / max(times):,.0f}) "
                f"| {tasks:,} | {10_000 * median(times) / tasks:.1f} | {mean:.2f} ± {half:.2f} |"
            )


def rows_of_others(features: FeatureSet, options: argparse.Namespace) -> Iterator[str]:
    for name, make, tasks in (("authors' loop", authors, options.loop_tasks), ("learn2learn prototypes", learn2learn_prototypes, 512)):
        for shots in (1, 5):
            times = seconds(make(features, shots, tasks), options.repeats)
            yield f"| {name} | inductive | {shots} | {tasks / median(times):,.1f} ({tasks / max(times):,.1f}) | {tasks} | | |"


def rows_on_gpu(features: FeatureSet, base: BaseStatistics, options: argparse.Namespace) -> Iterator[str]:
    """Seconds of each name, from the call to when the device has nothing left to do; then whether all of them were quick enough."""
    device = torch.device(options.device)
    on_cuda = device.type == "cuda"
    wait: Callable[[], object] = torch.cuda.synchronize if on_cuda else lambda: None
    # Here once, as in an evaluation of many classifiers; labels stay where tasks are sampled.
    features, slowest = replace(features, features=features.features.to(device)), (0.0, "")
    for name in options.classifiers:
        for shots in (1, 5):
            classifier = build_classifier(name, base)
            score_tasks(features, spec(shots, min(MIN_TASKS, options.tasks)), classifier, device=device)
            wait()
            if on_cuda:
                torch.cuda.reset_peak_memory_stats(device)
            began = time.perf_counter()
            accuracy = score_tasks(features, spec(shots, options.tasks), classifier, device=device)
            wait()
            took = time.perf_counter() - began
            slowest = max(slowest, (took, f"{name} at {shots} shots"))
            mean, half = 100 * float(accuracy.mean()), 196 * float(accuracy.std()) / options.tasks**0.5
            kind = "transductive" if classifier.transductive else "inductive"
            memory = f"{torch.cuda.max_memory_allocated(device) / 2**30:.2f}" if on_cuda else ""
            yield f"| {name} | {kind} | {shots} | {took:.2f} | {options.tasks / took:,.0f} | {memory} | {mean:.2f} ± {half:.2f} |"
    verdict = "yes" if slowest[0] < GPU_SECONDS else "no"
    yield f"\n{options.tasks:,} tasks of every name under {GPU_SECONDS:.0f} s: {verdict}; slowest: {slowest[1]}, {slowest[0]:.2f} s."


def report_gpu(features: FeatureSet, base: BaseStatistics, options: argparse.Namespace) -> None:
    name = torch.cuda.get_device_name(options.device) if options.device.startswith("cuda") else options.device
    print(f"{name}, torch {torch.__version__}. One run after a warm-up of {min(MIN_TASKS, options.tasks)} tasks.")
    print(f"GPU memory is the peak of allocated tensors, the features among them. {float32_words(torch.device(options.device))}\n")
    print(f"| classifier | kind | shots | seconds for {options.tasks:,} | tasks/s | GPU memory, GiB | accuracy |")
    print("|---|---|---|---|---|---|---|")
    for row in rows_on_gpu(features, base, options):
        print(row, flush=True)


def report_cpu(features: FeatureSet, base: BaseStatistics, options: argparse.Namespace) -> None:
    print(f"Median of {options.repeats} repeats after a warm-up, slowest in brackets.\n")
    rate = copy_rate(features)
    sampling = seconds(lambda: sample_tasks(features.labels, spec(1, 10_000)), 5)
    print(f"* copying the features: {rate / 1e9:.1f} GB/s read, and as much written")
    print(f"* sampling 10,000 tasks of 5 x 16: {1000 * median(sampling):.0f} ms (one thread)")
    for shots in (1, 5):
        touched = WAYS * (shots + QUERIES) * features.features.shape[1] * 4
        classifier = build_classifier("nearest_mean")
        times = seconds(lambda: score_tasks(features, spec(shots, 10_240), classifier), 5)  # noqa: B023
        read = 10_240 * touched / median(times)
        print(f"* nearest class mean, {shots}-shot: reads {read / 1e9:.1f} GB/s of features, {read / rate:.0%} of the copy")
    print("\n| classifier | kind | shots | tasks/s | tasks a repeat | seconds for 10,000 | accuracy |\n|---|---|---|---|---|---|---|")
    for row in rows_of_classifiers(features, base, options):
        print(row, flush=True)
    for row in rows_of_others(features, options):
        print(row, flush=True)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; by default the slowest classifier is the last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=Path, help=".npz with features and labels")
    parser.add_argument("--base", type=Path, help=".npz with those of the base classes")
    parser.add_argument(
        "--classifiers",
        "--heads",
        dest="classifiers",
        nargs="*",
        default=sorted(CLASSIFIERS, key=lambda name: (name == "calibrated", load_class(name).transductive)),
        help="classifiers to time",
    )
    parser.add_argument("--device", default="cpu", help="cpu, or cuda: seconds of every classifier on the GPU")
    parser.add_argument("--tasks", type=int, help="maximum tasks of a repeat, by default 10,240; on a GPU the tasks timed, 10,000")
    parser.add_argument("--seconds", type=float, default=10, help="seconds of a repeat, about")
    parser.add_argument("--loop-tasks", type=int, default=8, help="tasks of the authors' loop")
    parser.add_argument("--repeats", type=int, default=3, help="timed repeats after a warm-up")
    options = parser.parse_args(arguments)
    options.tasks = options.tasks or (10_240 if options.device == "cpu" else GPU_TASKS)
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the report."""
    options = parse(arguments)
    features = read_features(options.features) if options.features else made_up_features(20, "novel")
    base_features = read_features(options.base) if options.base else made_up_features(64, "base")
    base = BaseStatistics.from_features(base_features.features, base_features.labels)
    print(f"# Episode throughput, {datetime.now(UTC):%Y-%m-%d}\n")
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} torch threads, torch {torch.__version__}, ", end="")
    print(f"Python {platform.python_version()}. {len(features.features):,} x {features.features.shape[1]} features", end=" ")
    print(f"({options.features.name if options.features else 'made up'}), {WAYS}-way, {QUERIES} queries. ", end="")
    (report_cpu if options.device == "cpu" else report_gpu)(features, base, options)
    print(f"\nMost host memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB.")


if __name__ == "__main__":
    main()
