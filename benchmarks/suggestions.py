"""Does labeling the suggested photos beat labeling random ones?

Ten bird species of CUB, two labeled photos of each; ten more are chosen from the unlabeled ones, get their labels, and the model is fitted
again. Accuracy is that of the most probable class on test photos that are in neither. Every way to choose has the same species, labeled
and test photos in a repeat. "Least margin" and "k-center" are what is usually tried first.
"""

import argparse
import json
import platform
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from s2m2.classifiers import build_classifier
from s2m2.recognition.automatic import AUTOMATIC
from s2m2.recognition.extractors import EMBEDDED, extractor_for
from s2m2.recognition.read_ahead import feature_batches
from s2m2.recognition.suggest import choose

SPECIES, TEST, ADDED = 10, 20, 10
"""Species, test photos of each, and photos that get a label."""
Scores = Callable[[np.ndarray], Tensor]
"""Scores of the classes for images, given by position, by the model before the choice."""


class Images:
    """Features and species of all photos."""

    def __init__(self, images: Path, splits: Path) -> None:
        self.classifier = "auto"
        names = json.loads(splits.read_text())["novel"]
        files = [(path, name) for name in names for path in sorted((images / name).iterdir())]
        batches = feature_batches([path for path, _ in files], extractor_for(EMBEDDED), batch_size=64)
        self.features = torch.cat([batch.features for batch in batches])
        self.unit = F.normalize(self.features, dim=-1)
        self.species = np.array([name for _, name in files])

    def fitted(self, labeled: np.ndarray, species: np.ndarray) -> Scores:
        """The scores of a model of labeled images."""
        built = build_classifier(AUTOMATIC if self.classifier == "auto" else self.classifier, seed=0)
        built.fit(self.features[labeled], np.searchsorted(species, self.species[labeled]))
        return lambda images: built.query_scores(self.features[images]).double()


def suggested(images: Images, labeled: np.ndarray, pool: np.ndarray, scores: Scores, generator: np.random.Generator) -> np.ndarray:
    """What `s2m2 suggest` names."""
    return pool[choose(images.unit[pool], images.unit[labeled], ADDED)[0]]


def at_random(images: Images, labeled: np.ndarray, pool: np.ndarray, scores: Scores, generator: np.random.Generator) -> np.ndarray:
    """Without looking."""
    return generator.choice(pool, ADDED, replace=False)


def least_margin(images: Images, labeled: np.ndarray, pool: np.ndarray, scores: Scores, generator: np.random.Generator) -> np.ndarray:
    """The photos whose two best classes are closest."""
    best = scores(pool).topk(2).values
    return pool[(best[:, 0] - best[:, 1]).topk(ADDED, largest=False).indices.numpy()]


def k_center(images: Images, labeled: np.ndarray, pool: np.ndarray, scores: Scores, generator: np.random.Generator) -> np.ndarray:
    """Each photo the one farthest from all labeled and chosen ones."""
    covered, chosen = (images.unit[pool] @ images.unit[labeled].T).amax(-1), []
    for _ in range(ADDED):
        chosen.append(int(covered.argmin()))
        covered = torch.maximum(covered, images.unit[pool] @ images.unit[pool[chosen[-1]]])
    return pool[chosen]


WAYS = {"random": at_random, "suggested": suggested, "least margin": least_margin, "k-center": k_center}


def repeat(images: Images, shots: int, number: int) -> dict[str, float]:
    """Accuracy after each way to choose, and before it."""
    generator = np.random.default_rng(number)
    species = np.sort(generator.choice(np.unique(images.species), SPECIES, replace=False))
    members = [generator.permutation(np.flatnonzero(images.species == name)) for name in species]
    test = np.concatenate([own[:TEST] for own in members])
    labeled = np.concatenate([own[TEST : TEST + shots] for own in members])
    pool = np.concatenate([own[TEST + shots :] for own in members])
    before = images.fitted(labeled, species)

    def accuracy(scores: Scores) -> float:
        return float((scores(test).argmax(-1).numpy() == np.searchsorted(species, images.species[test])).mean())

    after = {}
    for name, way in WAYS.items():
        labels = np.append(labeled, way(images, labeled, pool, before, generator))
        after[name] = accuracy(images.fitted(labels, species))
    return {"none": accuracy(before), **after}


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="CUB_200_2011/images")
    parser.add_argument("--splits", type=Path, required=True, help="json with a list of folders of species, novel")
    parser.add_argument("--classifiers", nargs="+", default=["auto", "cosine_centroid"])
    parser.add_argument("--shots", type=int, nargs="+", default=[2, 5])
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = Images(options.images, options.splits)
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    print(
        f"# Labels for suggested photos, {date.today().isoformat()}\n\n{SPECIES} of {len(np.unique(images.species))} novel species of CUB"
    )
    print(f"in a repeat, {TEST} test photos of each, {ADDED} more labels, {options.repeats} repeats; {versions}, one thread.\n")
    print("| classifier | shots | labels added | accuracy (%) | less random (points) ± 95 % |\n|---|---|---|---|---|")
    for images.classifier in options.classifiers:
        for shots in options.shots:
            report(images.classifier, shots, [repeat(images, shots, number) for number in range(options.repeats)])


def report(classifier: str, shots: int, rows: list[dict[str, float]]) -> None:
    """Print the lines of one classifier and number of shots."""
    for name in rows[0]:
        gains = [row[name] - row["random"] for row in rows]
        half = 1.96 * stdev(gains) / len(rows) ** 0.5
        mean = 100 * fmean(row[name] for row in rows)
        print(f"| {classifier} | {shots} | {name} | {mean:.1f} | {100 * fmean(gains):+.1f} ± {100 * half:.1f} |", flush=True)


if __name__ == "__main__":
    main()
