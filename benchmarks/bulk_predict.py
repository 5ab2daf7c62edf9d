"""Images a second of `s2m2 predict`, from names to a csv file, against the bare forward pass and against a plain timm + DataLoader loop.

All three use the embedded backbone and the same images, and are measured in turn. The bare pass has its images in memory, resized and
normalized. The plain loop is what timm's documentation leads to: `create_model`, `create_transform`, a `DataLoader` with a process for each
core, cosines to the class means, and a csv line an image; its processes start anew in every repeat, as they do in a script.
"""

import argparse
import csv
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import timm
import torch
import torch.nn.functional as F
from PIL import Image
from timm.data import create_transform
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.feature_extraction import seconds
from s2m2.recognition import ImageClassifier
from s2m2.recognition.bulk import predictions
from s2m2.recognition.extractors import EMBEDDED_FILE, EMBEDDED_PACKAGE, Extractor
from s2m2.recognition.resuming import ResumableFile
from s2m2.recognition.sources import list_photos

CLASSES, SHOTS = 8, 5
"""Labeled images of the model."""


class Photos(Dataset[Tensor]):
    """Images of files for timm."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files
        self.transform = create_transform((3, 224, 224), crop_pct=1.0, mean=(0.5,) * 3, std=(0.5,) * 3)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.files[index]) as image:
            values: Tensor = self.transform(image.convert("RGB"))
            return values


def plain_loop(network: nn.Module, means: Tensor, photos: Sequence[Path], output: Path, options: argparse.Namespace) -> None:
    """timm and a `DataLoader`."""
    loader = DataLoader(Photos(photos), batch_size=options.batch_size, num_workers=options.workers)
    with output.open("w", newline="") as file, torch.inference_mode():
        writer, start = csv.writer(file), 0
        for images in loader:
            features = F.normalize(network(images.to(options.device)), dim=-1)
            probabilities = (10 * features @ means.T).softmax(-1).cpu()
            for path, row in zip(photos[start:], probabilities, strict=False):
                writer.writerow([path, int(row.argmax()), *row.tolist()])
            start += len(images)


def bare(extractor: Extractor, batches: Sequence[Sequence[Tensor]]) -> None:
    """The forward pass of `predict`, and nothing else."""
    for batch in batches:
        extractor(batch)


def predict(model: ImageClassifier, folder: Path, count: int, output: Path) -> None:
    """What `s2m2 predict` does after loading the model."""
    photos = (path for path, _ in zip(list_photos([str(folder)]), range(count), strict=False))
    ResumableFile(output, model.classes_.tolist(), {}, overwrite=True).write(predictions(model, photos))


def plain_network(device: str) -> nn.Module:
    """The embedded network as timm makes it."""
    spec = find_spec(EMBEDDED_PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    weights = torch.load(Path(spec.origin).parent / EMBEDDED_FILE, weights_only=True)
    network: Any = timm.create_model("tf_efficientnet_lite0")
    network.load_state_dict(dict(zip(network.state_dict(), weights.values(), strict=True)))
    network.reset_classifier(0)
    return network.to(device).eval()  # type: ignore[no-any-return]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="folder of class folders")
    parser.add_argument("--count", type=int, default=1024, help="images of a pass")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="device of the network")
    parser.add_argument("--batch-size", type=int, default=64, help="images a batch")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes of the DataLoader")
    parser.add_argument("--repeats", type=int, default=5, help="timed repeats after a warm-up")
    return parser.parse_args(arguments)


def measured(works: dict[str, Callable[[], object]], repeats: int) -> list[dict[str, float]]:
    """Seconds of each work in each repeat after a warm-up, in an order that turns."""
    times = []
    for number in range(repeats + 1):
        names = list(works)[:: -1 if number % 2 else 1]
        taken = {name: seconds(works[name]) for name in names}
        times.append({name: taken[name] for name in works})
    return times[1:]


def report(times: Sequence[dict[str, float]], photos: Sequence[Path], options: argparse.Namespace) -> str:
    """The report as Markdown."""
    device = torch.cuda.get_device_name() if options.device.startswith("cuda") else f"{platform.machine()}, {os.cpu_count()} cores"
    with Image.open(photos[0]) as first:
        size = f"{first.width}x{first.height}"
    lines = [
        f"# Predictions in bulk, {datetime.now(UTC):%Y-%m-%d}\n",
        f"{device}, {torch.get_num_threads()} torch threads, torch {torch.__version__}, timm {timm.__version__}, Python "
        f"{platform.python_version()}; {len(photos):,} images of {options.images.name} (the first {size} pixels), batches of "
        f"{options.batch_size}, {options.workers} processes of the DataLoader. Medians of {options.repeats} repeats after a warm-up; the",
        "ratio to the bare forward pass is the median over repeats, minimum and maximum in brackets.\n",
        "| | images/s | of the bare forward pass |\n|---|---|---|",
    ]
    for name in times[0]:
        rate = len(photos) / median(repeat[name] for repeat in times)
        ratios = sorted(repeat["bare forward pass"] / repeat[name] for repeat in times)
        lines.append(f"| {name} | {rate:,.1f} | {median(ratios):.1%} ({ratios[0]:.1%} to {ratios[-1]:.1%}) |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the report."""
    options = parse(arguments)
    folders = sorted(path for path in options.images.iterdir() if path.is_dir())[:CLASSES]
    labeled = [(path, folder.name) for folder in folders for path in list_photos([str(folder)])]
    first = list(chain.from_iterable([pair for pair in labeled if pair[1] == folder.name][:SHOTS] for folder in folders))
    model = ImageClassifier(batch_size=options.batch_size, device=options.device)
    model.fit([path for path, _ in first], [name for _, name in first])
    photos = [path for path, _ in zip(list_photos([str(options.images)]), range(options.count), strict=False)]
    features = F.normalize(model.support_.features, dim=-1).unflatten(0, (len(folders), -1)).mean(1)
    means = F.normalize(features, dim=-1).to(options.device)
    values = list(torch.randn(len(photos), 3, 224, 224, generator=torch.Generator().manual_seed(0)))
    batches = [values[start : start + options.batch_size] for start in range(0, len(values), options.batch_size)]
    with tempfile.TemporaryDirectory() as folder:
        works = {
            "bare forward pass": partial(bare, model.extractor(), batches),
            "s2m2 predict": partial(predict, model, options.images, len(photos), Path(folder) / "p.csv"),
            "timm + DataLoader": partial(plain_loop, plain_network(options.device), means, photos, Path(folder) / "t.csv", options),
        }
        print(report(measured(works, options.repeats), photos, options))


if __name__ == "__main__":
    main()
