"""What the attacks start from: a dataset, a run half way, a finished run, exports, features, a model of own classes, predictions."""

import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.soak.runner import call

RECIPE = """\
seed: 3
data: {path: dataset, image_size: 28}
model: {backbone: conv4, width: 8}
pretrain: {epochs: 3, batch_size: 32, validation: {tasks: 20, queries: 2}}
finetune: {epochs: 2, batch_size: 32, patience: 0, validation: {tasks: 20, queries: 2}}
evaluate: {tasks: 30, queries: 2, shots: [1], classifiers: [cosine_centroid, ridge], features: [finetune], details: false}
runtime: {threads: 1, accelerator: cpu, checkpoint_seconds: 0}
"""
CLASSES = 30
"""18 base, 6 validation and 6 novel ones."""
IMAGES = 6
"""Of each class."""
FIRST_SECONDS = 0.3
"""Of training, before it is killed; a tenth more each time, until there is a checkpoint."""
NOISE = 40
"""Standard deviation of the pixels of an image around the color of its class, of 255."""


@dataclass(frozen=True, kw_only=True)
class States:
    """Folders that are copied before each attack."""

    root: Path
    """Holds `images`, `dataset`, `recipe.yaml`, the runs `run`, `half` (stage 1 is done) and `within` (half of stage 1), `export`,
    `features.npz`, `model` and `photos`."""


def build_states(root: Path) -> States:
    """Make them all by the commands themselves.

    Raises:
        RuntimeError: a command failed; the message has what it printed.
    """
    root.mkdir(parents=True)
    paint(root / "images", CLASSES, IMAGES, 0)
    paint(root / "birds", 4, 4, 1)
    paint(root / "photos", 3, 4, 2)
    paint(root / "more", 2, 3, 3)
    (root / "recipe.yaml").write_text(RECIPE)
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 16)).astype(np.float32) + np.repeat(np.eye(6, 16), 10, 0).astype(np.float32) * 3
    np.savez(root / "features.npz", features=features, labels=np.repeat(np.arange(6), 10))
    (root / "released.pkl").write_bytes(pickle.dumps({way: features[10 * way : 10 * way + 10] for way in range(6)}))
    rows = [f"images/{path.parent.name}/{path.name},{path.parent.name}" for path in sorted((root / "images").glob("*/*.png"))]
    (root / "list.csv").write_text("filename,label\n" + "\n".join(rows) + "\n")
    done(root, ["prepare", "images", "--output", "dataset", "--splits", "0.6,0.2,0.2"])
    done(root, ["run", "recipe.yaml", "--run", "run"])
    done(root, ["pretrain", "recipe.yaml", "--run", "half"])
    within(root, ["pretrain", "recipe.yaml", "--run", "within"], root / "within" / "checkpoints" / "pretrain")
    done(root, ["evaluate", "--run", "run", "--evaluate.save_tasks", "tasks"])
    (tasks,) = (root / "tasks").iterdir()
    tasks.rename(root / "tasks.npz")
    done(root, ["export", "--run", "run", "--output", "export"])
    done(root, ["fit", "birds", "--output", "model", "--backbone", "run"])
    return States(root=root)


def done(folder: Path, arguments: Sequence[str]) -> None:
    """Call a command that must succeed."""
    ended = call(arguments, folder)
    if ended.code != 0:
        raise RuntimeError(f"s2m2 {' '.join(arguments)} ended with {ended.code}:\n{ended.text}")


def within(folder: Path, arguments: Sequence[str], checkpoints: Path) -> None:
    """Kill a training stage after its first checkpoint and before its end."""
    moment = FIRST_SECONDS
    while not (checkpoints / "last.pt").is_file():
        call(arguments, folder, kill_after=moment)
        moment *= 1.1
    for stray in (folder / "within").rglob(".*.partial"):
        stray.unlink()
    if (checkpoints / "outcome.json").is_file():
        raise RuntimeError(f"s2m2 {' '.join(arguments)} ended before it could be killed")


def paint(folder: Path, classes: int, images: int, seed: int) -> None:
    """Class folders of noisy images, each class of a color."""
    generator = np.random.default_rng(seed)
    colors = generator.integers(0, 256, (classes, 3))
    for way, color in enumerate(colors):
        (folder / f"class {way:02}").mkdir(parents=True)
        for number in range(images):
            pixels = color + generator.normal(0, NOISE, (32, 32, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"class {way:02}" / f"{number}.png")


def scores(run: Path) -> list[dict[str, object]]:
    """The accuracies of every result file of a run, in order."""
    return [json.loads(file.read_text()) for file in sorted((run / "results").glob("*.json"))]
