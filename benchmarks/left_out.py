"""Do left out images tell how good a model is, and do doubted labels turn out wrong?

Bird species of CUB with a few labeled photos each. The truth is the accuracy on all their other photos. "Covers" is how often the 95 %
interval of the estimate holds the truth. Of wrong labels, every twentieth label is one.
"""

import argparse
import json
import platform
from datetime import date
from pathlib import Path

import numpy as np
import torch

from s2m2.recognition import ImageClassifier
from s2m2.recognition.estimate import estimate, left_out
from s2m2.recognition.extractors import EMBEDDED, FEATURES, extractor_for
from s2m2.recognition.read_ahead import feature_batches
from s2m2.recognition.reference import read_packaged
from s2m2.recognition.suspects import mislabeled

SETTINGS = [(5, 5), (8, 2), (8, 5), (20, 2), (20, 5), (20, 10)]
"""Species and labeled photos of each."""


def photos(images: Path, splits: Path, species: int) -> tuple[np.ndarray, np.ndarray]:
    """Features and species."""
    names = json.loads(splits.read_text())["novel"][:species]
    files = [(path, name) for name in names for path in sorted((images / name).iterdir())]
    batches = feature_batches([path for path, _ in files], extractor_for(EMBEDDED), batch_size=64)
    return torch.cat([batch.features for batch in batches]).numpy(), np.array([name for _, name in files], dtype=object)


def fitted(features: np.ndarray, labels: np.ndarray) -> ImageClassifier:
    """A model as of images, without reading them again."""
    model = ImageClassifier(FEATURES)
    model._reference_set, model._has_reference = read_packaged(EMBEDDED), True
    return model.fit(features, labels)


def line(features: np.ndarray, species: np.ndarray, ways: int, shots: int, repeats: int) -> str:
    """One line of the report."""
    rows, flagged = [], np.zeros(3)
    for number in range(repeats):
        generator = np.random.default_rng((ways, shots, number))
        chosen = generator.choice(np.unique(species), ways, replace=False)
        members = [generator.permutation(np.flatnonzero(species == name)) for name in chosen]
        labeled, new = np.concatenate([own[:shots] for own in members]), np.concatenate([own[shots:] for own in members])
        model = fitted(features[labeled], species[labeled])
        truth = float((model.classes_[model.predict_proba(features[new]).argmax(1)] == species[new]).mean())
        images = left_out(model)
        assert images is not None
        one = estimate(images)
        rows.append((truth, one.accuracy - truth, one.interval.high - one.interval.low, one.interval.low <= truth <= one.interval.high))
        flagged += doubts(features[labeled], species[labeled], generator)
    means = 100 * np.mean(rows, axis=0)
    wrong, found, hits = flagged
    cells = [f"{means[0]:.1f}", f"{means[1]:+.1f}", f"{means[2] / 2:.1f}", f"{means[3]:.0f}", f"{100 * hits / wrong:.0f}"]
    return f"| {ways} | {shots} | {' | '.join(cells)} | {f'{100 * hits / found:.0f}' if found else ''} |"


def doubts(features: np.ndarray, species: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Wrong labels, doubted labels, and those that are both."""
    labels = species.copy()
    wrong = generator.choice(len(labels), max(len(labels) // 20, 1), replace=False)
    for image in wrong:
        labels[image] = generator.choice(np.unique(species[species != species[image]]))
    if len(np.unique(labels)) < len(np.unique(species)):
        return np.zeros(3)
    model = fitted(features, labels)
    images = left_out(model)
    assert images is not None
    ways = np.searchsorted(model.classes_.astype(str), labels.astype(str))
    doubted = {one.item for one in mislabeled(images, model.support_.features, ways)}
    return np.array([len(wrong), len(doubted), len(doubted & set(wrong.tolist()))])


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="CUB_200_2011/images")
    parser.add_argument("--splits", type=Path, required=True, help="json with a list of folders of species, novel")
    parser.add_argument("--species", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    features, species = photos(options.images, options.splits, options.species)
    print(f"# Left out images, {date.today().isoformat()}\n\n{options.species} novel species of CUB, cosine classifier,")
    print(f"{options.repeats} repeats; torch {torch.__version__}, Python {platform.python_version()}. In percent or points.\n")
    print("| species | photos | truth | estimate less truth | half interval | covers | wrong labels found | found ones wrong |")
    print("|---|---|---|---|---|---|---|---|")
    for ways, shots in SETTINGS:
        print(line(features, species, ways, shots, options.repeats), flush=True)


if __name__ == "__main__":
    main()
