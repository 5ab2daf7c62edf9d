"""Images a second of feature extraction, from a dataset on disk to features, against the bare forward pass on the same batch size.

The bare pass gets prepared batches: resized, cropped, normalized and in the memory of the device, on a GPU in channels-last order.
Both are measured in turn, with the network in evaluation mode, float32 and without gradients; a repeat is one pass over all images.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.float32 import float32_words
from s2m2.data.augment import evaluation_view
from s2m2.evaluation.features import extract_features
from s2m2.models import build_backbone
from s2m2.random import generator_for
from s2m2.recipe import DataConfig, ModelConfig
from s2m2.recipe.model import BackboneName

ROWS: dict[tuple[BackboneName, int, int], int] = {
    ("conv4", 32, 32): 2048,
    ("conv4", 84, 96): 256,
    ("resnet12", 32, 32): 128,
    ("wrn28_10", 32, 32): 64,
}
"""Backbone, input size and stored size in pixels; and images of a pass, which --times multiplies."""
SIZES = {"cpu": (32, 1), "cuda": (256, 64)}
"""Images of a batch, and times, by the device."""


def random_images(folder: Path, count: int, size: int) -> Tensor:
    """A memory map of random images."""
    images = np.lib.format.open_memmap(folder / f"{count}-{size}.npy", mode="w+", dtype=np.uint8, shape=(count, size, size, 3))
    images[:] = np.random.default_rng(0).integers(0, 256, images.shape, dtype=np.uint8)
    return torch.from_numpy(images)


def bare(backbone: nn.Module, batches: list[Tensor]) -> None:
    """The forward pass and nothing else, waited for."""
    with torch.inference_mode():
        for batch in batches:
            features = backbone(batch)
    features.flatten()[0].item()


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of a call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(one: Callable[[], object], other: Callable[[], object], *, swapped: bool) -> tuple[float, float]:
    """Wall seconds of two calls, the second one made first if so wished, as a machine's speed drifts."""
    if swapped:
        late, early = seconds(other), seconds(one)
        return early, late
    return seconds(one), seconds(other)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="device of the network")
    parser.add_argument("--batch-size", type=int, help="images a batch, by default 32 on a CPU and 256 on a GPU")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads of torch")
    parser.add_argument("--repeats", type=int, default=7, help="timed repeats after a warm-up")
    parser.add_argument("--times", type=int, help="multiplies the number of images, by default by 1 on a CPU and 64 on a GPU")
    options = parser.parse_args(arguments)
    batch_size, times = SIZES["cuda" if options.device.startswith("cuda") else "cpu"]
    options.batch_size, options.times = options.batch_size or batch_size, options.times or times
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the report."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    order = torch.channels_last if device.type == "cuda" else torch.preserve_format  # as in extraction
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()}, {torch.get_num_threads()} torch threads"
    print(f"# Feature extraction, {datetime.now(UTC):%Y-%m-%d}\n")
    print(f"{name}, torch {torch.__version__}, Python {platform.python_version()}, batches of {options.batch_size}, float32.")
    if device.type == "cuda":
        print(float32_words(device))
    print(f"Medians of {options.repeats} repeats after a warm-up; the ratio is the median over pairs of repeats, minimum and maximum")
    print("in brackets.\n")
    print("| backbone | pixels | images | bare forward, images/s | extraction, images/s | ratio |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for (backbone_name, size, stored_size), base_count in ROWS.items():
            count = base_count * options.times
            backbone = build_backbone(ModelConfig(backbone=backbone_name), size, generator_for(0, "backbone")).to(device).eval()
            images, indices = random_images(Path(folder), count, stored_size), torch.arange(count)
            view = partial(evaluation_view, config=DataConfig(image_size=size, resize_ratio=1.15))
            batches = [view(images[part].to(device)).to(memory_format=order) for part in indices.split(options.batch_size)]
            forward = partial(bare, backbone, batches)
            extraction = partial(extract_features, backbone, images, indices, view, batch_size=options.batch_size, device=device)
            pairs = [measure(forward, extraction, swapped=bool(number % 2)) for number in range(options.repeats + 1)][1:]
            rates = [count / median(values) for values in zip(*pairs, strict=True)]
            ratios = sorted(forward_time / extraction_time for forward_time, extraction_time in pairs)
            spread = f"{median(ratios):.1%} ({ratios[0]:.1%} to {ratios[-1]:.1%})"
            print(f"| {backbone_name} | {size} | {count:,} | {rates[0]:,.1f} | {rates[1]:,.1f} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
