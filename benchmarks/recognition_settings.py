"""How settings of `ImageClassifier` were chosen, on base classes of CUB and CIFAR-FS: the packaged reference alone, no images needed.

    python -m benchmarks.recognition_settings

Accuracy by the transform of the features and the scale of the cosine classifier; and AUROC of strangers by the weight of the
log-probability in the familiarity.
"""

import argparse
from datetime import UTC, datetime

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from s2m2.classifiers import build_classifier
from s2m2.classifiers.base import FewShotTasks
from s2m2.recognition.extractors import EMBEDDED
from s2m2.recognition.leaving_out import score_queries
from s2m2.recognition.reference import read_packaged

DOMAINS = ("CUB", "CIFAR-FS")
SIZES = ((8, 1), (8, 5), (20, 3))
SCALES = (2.0, 5.0, 10.0, 20.0, 40.0)
WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.4)
QUERIES, STRANGERS = 8, 5


def sample(members: list[Tensor], ways: int, shots: int, tasks: int) -> FewShotTasks:
    """Tasks whose queries are those of their classes, then those of other classes."""
    generator = np.random.default_rng([ways, shots])
    support, query = [], []
    for _ in range(tasks):
        for number, way in enumerate(generator.permutation(len(members))[: ways + STRANGERS]):
            order = torch.from_numpy(generator.permutation(len(members[way])))
            query.append(members[way][order[:QUERIES]])
            if number < ways:
                support.append(members[way][order[QUERIES : QUERIES + shots]])
    labels = torch.arange(ways).repeat_interleave(shots).expand(tasks, -1)
    shape = (tasks, (ways + STRANGERS) * QUERIES)
    return FewShotTasks(
        support=torch.cat(support).unflatten(0, (tasks, -1)),
        labels=labels,
        query=torch.cat(query).unflatten(0, shape),
        ways=ways,
        shots=shots,
    )


def accuracy(tasks: FewShotTasks, scale: float) -> float:
    classifier = build_classifier({"name": "cosine", "scale": scale})
    scores = classifier(tasks, torch.Generator().manual_seed(0))[:, : tasks.ways * QUERIES]
    return 100 * float((scores.argmax(-1) == torch.arange(tasks.ways).repeat_interleave(QUERIES)).double().mean())


def aurocs(tasks: FewShotTasks) -> list[float]:
    """Mean AUROC over tasks for each weight; the temperature is that of the classifier."""
    scored = score_queries(tasks, build_classifier({"name": "cosine", "scale": 10.0}), torch.Generator().manual_seed(0))
    closeness = scored.closeness.unflatten(0, (len(tasks), -1))
    logs = scored.scores.log_softmax(-1).amax(-1).unflatten(0, (len(tasks), -1))
    known = np.arange(closeness.shape[1]) < tasks.ways * QUERIES
    return [100 * float(np.mean([roc_auc_score(known, one) for one in closeness + weight * logs])) for weight in WEIGHTS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=60)
    tasks = parser.parse_args().tasks
    torch.set_num_threads(1)
    reference = read_packaged(EMBEDDED)
    roots = [[one for one, own in zip(reference.members(), reference.domains, strict=True) if own == domain] for domain in (0, 1)]
    print(f"# Settings of ImageClassifier, {datetime.now(UTC):%Y-%m-%d}\n\n{tasks} tasks of base classes for each row.\n")
    print("Accuracy (%) by the scale of the cosine classifier:\n")
    print(f"| classes of | ways | shots | features | {' | '.join(f'{scale:g}' for scale in SCALES)} |\n|{'---|' * (4 + len(SCALES))}")
    for title, members in zip(DOMAINS, roots, strict=True):
        for ways, shots in SIZES:
            for name, power in (("as they are", 2), ("square roots", 1)):
                chosen = sample([one**power for one in members], ways, shots, tasks)
                cells = " | ".join(f"{accuracy(chosen, scale):.1f}" for scale in SCALES)
                print(f"| {title} | {ways} | {shots} | {name} | {cells} |", flush=True)
    print("\nAUROC (%) of strangers by the weight of the log-probability, square roots:\n")
    print(f"| classes of | ways | shots | {' | '.join(f'{weight:g}' for weight in WEIGHTS)} |\n|{'---|' * (3 + len(WEIGHTS))}")
    for title, members in zip(DOMAINS, roots, strict=True):
        for ways, shots in SIZES:
            cells = " | ".join(f"{value:.1f}" for value in aurocs(sample(members, ways, shots, tasks)))
            print(f"| {title} | {ways} | {shots} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
