"""Naming images of one's own classes: accuracy, calibration, sets and "none of these", beside AdaptShot and nearest neighbors.

    python -m benchmarks.own_classes --cub CUB_200_2011 --cifar_fs cifar100 --omniglot omniglot --adaptshot ENV/bin/python

Tasks of 5 novel classes of each dataset, with 1, 2, 5 and 10 labeled images, 10 known queries a class, and as many images of 5 other
classes, the strangers. AdaptShot, which decodes and embeds the images of each task itself, gets the first tasks only; s2m2 has a row for
these, too. The calibration of s2m2 has seen base classes of CUB and CIFAR-FS, none of the classes here, and nothing like Omniglot; but the
form of its familiarity score was chosen by a look at these novel classes. `--adaptshot` is the Python of an environment with AdaptShot.
"""

import argparse
import json
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from s2m2.data.decode import ImageFile
from s2m2.data.sources import list_source
from s2m2.evaluation.calibration import calibration_error, reliability_bins
from s2m2.recognition import ImageClassifier
from s2m2.recognition.calibrating import familiarity
from s2m2.recognition.extractors import EMBEDDED, extractor_for
from s2m2.recognition.read_ahead import feature_batches
from s2m2.recognition.reference import read_packaged

TITLES = {"cub": "CUB", "cifar_fs": "CIFAR-FS", "omniglot": "Omniglot"}
WAYS, QUERIES, STRANGERS = 5, 10, 5
SHOTS = (1, 2, 5, 10)
MAX_CLASSES, MAX_IMAGES = 100, 40
COVERAGE, UNKNOWN = 0.95, 0.05
SIDES = {
    "s2m2": "s2m2",
    "neighbors": "timm + scikit-learn, nearest neighbor",
    "means": "timm + scikit-learn, nearest class mean",
    "few": "s2m2, the tasks of AdaptShot",
    "adaptshot": "AdaptShot 0.3.0, `ood_flag`",
    "asks": "AdaptShot 0.3.0, `uncertainty_flag`",
}


@dataclass(frozen=True)
class Images:
    """Novel classes of a dataset, with the features of the embedded backbone."""

    paths: list[Path]
    labels: np.ndarray
    features: np.ndarray


@dataclass(frozen=True)
class Task:
    """Positions of images; the first query of each class follows its last shot."""

    classes: np.ndarray
    support: np.ndarray
    query: np.ndarray
    strangers: np.ndarray


@dataclass(frozen=True)
class Said:
    """What a side says of the queries and then the strangers of a task; NaN where it does not say it."""

    best: np.ndarray
    confidence: np.ndarray
    unknown: np.ndarray
    sets: list[set[int]]
    familiarity: np.ndarray


def read_images(root: Path, dataset: str, cache: Path | None) -> Images:
    listing = list_source(root, dataset)
    assert listing.splits is not None
    names = listing.splits["novel"][:: max(len(listing.splits["novel"]) // MAX_CLASSES, 1)][:MAX_CLASSES]
    paths, labels = [], []
    for number, name in enumerate(names):
        label = listing.class_names.index(name)
        own = [
            image.path for image, one in zip(listing.images, listing.labels, strict=True) if one == label and isinstance(image, ImageFile)
        ]
        paths += own[:MAX_IMAGES]
        labels += [number] * len(own[:MAX_IMAGES])
    stored = cache / f"{dataset}.npy" if cache else None
    if stored and stored.is_file():
        features = np.load(stored)
    else:
        features = torch.cat([batch.features for batch in feature_batches(paths, extractor_for(EMBEDDED), batch_size=64)]).numpy()
        if stored:
            np.save(stored, features)
    return Images(paths, np.array(labels), features)


def sample(images: Images, shots: int, generator: np.random.Generator) -> Task:
    classes = generator.permutation(images.labels.max() + 1)[: WAYS + STRANGERS]
    order = [generator.permutation(np.flatnonzero(images.labels == label)) for label in classes]
    return Task(
        classes=classes[:WAYS],
        support=np.concatenate([one[:shots] for one in order[:WAYS]]),
        query=np.concatenate([one[shots : shots + QUERIES] for one in order[:WAYS]]),
        strangers=np.concatenate([one[:QUERIES] for one in order[WAYS:]]),
    )


def ask_s2m2(images: Images, task: Task, seed: int) -> Said:
    model = ImageClassifier("features", reference=read_packaged(EMBEDDED), unknown=UNKNOWN, random_state=seed)
    model.fit(images.features[task.support], images.labels[task.support])
    asked = torch.from_numpy(images.features[np.concatenate([task.query, task.strangers])])
    answers, queries = model.answers_of(asked), model.query_scores(asked)
    return Said(
        best=model.classes_[answers.probabilities.argmax(1)],
        confidence=answers.probabilities.max(1),
        unknown=answers.unknown,
        sets=[set(one) for one in model.sets(answers.probabilities, COVERAGE)],
        familiarity=familiarity(queries, model.calibration_.temperature).numpy(),
    )


def ask_neighbors(images: Images, task: Task) -> Said:
    """What a user of timm writes: pooled features, without the square root, and the nearest labeled image by cosine."""
    plain = images.features**2
    knn = KNeighborsClassifier(1, metric="cosine").fit(plain[task.support], images.labels[task.support])
    asked = plain[np.concatenate([task.query, task.strangers])]
    nothing = np.full(len(asked), np.nan)
    distance = knn.kneighbors(asked, 1)[0][:, 0]
    return Said(best=knn.predict(asked), confidence=nothing, unknown=nothing, sets=[], familiarity=-distance)


def ask_means(images: Images, task: Task) -> Said:
    """The same with class means of unit features."""
    unit = images.features**2
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    means = NearestCentroid().fit(unit[task.support], images.labels[task.support])
    asked = unit[np.concatenate([task.query, task.strangers])]
    nothing = np.full(len(asked), np.nan)
    nearest = np.linalg.norm(asked[:, None] - means.centroids_, axis=-1).min(1)
    return Said(best=means.predict(asked), confidence=nothing, unknown=nothing, sets=[], familiarity=-nearest)


def ask_adaptshot(python: Path, images: Images, tasks: list[Task]) -> dict[str, list[Said]]:
    """AdaptShot as its README uses it, in its own environment; it decodes and embeds the images itself.

    It has two flags that may count as "none of these": that an image is far from its labeled ones, and that it asks a human.
    """
    asked = [
        {
            "support": [str(images.paths[one]) for one in task.support],
            "labels": [int(images.labels[one]) for one in task.support],
            "query": [str(images.paths[one]) for one in np.concatenate([task.query, task.strangers])],
        }
        for task in tasks
    ]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tasks.json").write_text(json.dumps(asked))
        script = Path(__file__).with_name("own_classes_adaptshot.py")
        subprocess.run([python, script, "tasks.json", "said.json"], cwd=folder, check=True)
        said = json.loads((Path(folder) / "said.json").read_text())
    return {side: [_adaptshot_said(task, flag) for task in said] for side, flag in (("adaptshot", "unknown"), ("asks", "ask"))}


def _adaptshot_said(task: list[dict[str, Any]], flag: str) -> Said:
    return Said(
        best=np.array([one["best"] for one in task]),
        confidence=np.array([one["confidence"] for one in task]),
        unknown=np.array([one[flag] for one in task], dtype=float),
        sets=[set(one["set"]) for one in task],
        familiarity=np.array([-one["distance"] for one in task]),
    )


def measures(images: Images, tasks: list[Task], said: list[Said]) -> dict[str, float]:
    """Means over tasks; `spread` is the standard deviation of the coverage over classes."""
    known = [slice(0, len(task.query)) for task in tasks]
    truth = [images.labels[task.query] for task in tasks]
    right = np.concatenate([one.best[part] == labels for one, part, labels in zip(said, known, truth, strict=True)])
    confidence = np.concatenate([one.confidence[part] for one, part in zip(said, known, strict=True)])
    bins = reliability_bins(torch.from_numpy(confidence), torch.from_numpy(right)) if not np.isnan(confidence).any() else None
    result = {
        "accuracy": right.mean(),
        "ece": calibration_error(bins) if bins is not None else np.nan,
        "turned": np.mean([one.unknown[part].mean() for one, part in zip(said, known, strict=True)]),
        "caught": np.mean([one.unknown[len(task.query) :].mean() for one, task in zip(said, tasks, strict=True)]),
        "auroc": np.mean([_auroc(one.familiarity, len(task.query)) for one, task in zip(said, tasks, strict=True)]),
    }
    if said[0].sets:
        inside = np.concatenate([[label in one.sets[i] for i, label in enumerate(labels)] for one, labels in zip(said, truth, strict=True)])
        labels = np.concatenate(truth)
        by_class = np.array([inside[labels == label].mean() for label in np.unique(labels)])
        size = np.mean([len(one.sets[i]) for one, labels in zip(said, truth, strict=True) for i in range(len(labels))])
        result |= {"coverage": inside.mean(), "spread": by_class.std(), "size": size}
    return {key: float(value) for key, value in result.items()}


def _auroc(score: np.ndarray, known: int) -> float:
    return float(roc_auc_score(np.arange(len(score)) < known, score))


def row(title: str, shots: int, side: str, values: dict[str, float]) -> str:
    def percent(key: str) -> str:
        return "" if np.isnan(values.get(key, np.nan)) else f"{100 * values[key]:.1f}"

    cover = f"{percent('coverage')} ({percent('spread')})" if "coverage" in values else ""
    size = f"{values['size']:.2f}" if "size" in values else ""
    cells = [
        title,
        shots,
        SIDES[side],
        percent("accuracy"),
        percent("ece"),
        percent("turned"),
        percent("caught"),
        percent("auroc"),
        cover,
        size,
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for dataset, title in TITLES.items():
        parser.add_argument(f"--{dataset}", type=Path, help=f"{title} as distributed")
    parser.add_argument("--adaptshot", type=Path, help="Python of an environment with AdaptShot")
    parser.add_argument("--tasks", type=int, default=40, help="tasks of each kind")
    parser.add_argument("--rival-tasks", type=int, default=20, help="the first of them, for AdaptShot")
    parser.add_argument("--cache", type=Path, help="folder for features, which take minutes")
    parser.add_argument("--shots", type=int, nargs="+", default=SHOTS)
    options = parser.parse_args(arguments)
    rival = f"; AdaptShot the first {options.rival_tasks}" if options.adaptshot else ""
    print(f"# Own classes, {datetime.now(UTC):%Y-%m-%d}\n\n{options.tasks} tasks of {WAYS} classes{rival}.\n")
    columns = "dataset | shots | who | accuracy | calibration error | known turned away | strangers caught | AUROC of strangers"
    print(f"| {columns} | coverage of the 95 % set (spread over classes) | classes in a set |\n|{'---|' * 10}", flush=True)
    for dataset, title in TITLES.items():
        root: Path | None = getattr(options, dataset)
        if root is None:
            continue
        images = read_images(root, dataset, options.cache)
        for shots in options.shots:
            generator = np.random.default_rng([shots, len(images.paths)])
            tasks = [sample(images, shots, generator) for _ in range(options.tasks)]
            said = {}
            said["s2m2"] = [ask_s2m2(images, task, number) for number, task in enumerate(tasks)]
            said["neighbors"] = [ask_neighbors(images, task) for task in tasks]
            said["means"] = [ask_means(images, task) for task in tasks]
            if options.adaptshot:
                said["few"] = said["s2m2"][: options.rival_tasks]
                said |= ask_adaptshot(options.adaptshot, images, tasks[: options.rival_tasks])
            for side, answers in said.items():
                print(row(title, shots, side, measures(images, tasks[: len(answers)], answers)), flush=True)


if __name__ == "__main__":
    main()
