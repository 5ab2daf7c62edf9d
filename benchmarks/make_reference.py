"""Makes the reference that comes with the embedded backbone: features of classes of CUB and CIFAR-FS, as bytes.

    python -m benchmarks.make_reference CUB_200_2011 cifar100

Base classes of both only, so that their novel classes, and every other dataset, can test what is calibrated on it. The images are not
in the file: 1,280 rounded numbers of each.
"""

import argparse
import json
from pathlib import Path

import torch

from s2m2.data.decode import ImageFile
from s2m2.data.sources import list_source
from s2m2.io import write_tensors
from s2m2.recognition.extractors import EMBEDDED, extractor_for
from s2m2.recognition.read_ahead import feature_batches
from s2m2.recognition.reference import MAX_IMAGES, PACKAGED, quantize

DOMAINS = {"cub": "CUB-200-2011", "cifar_fs": "CIFAR-FS"}
"""Datasets in order, each a domain."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cub", type=Path)
    parser.add_argument("cifar_fs", type=Path)
    options = parser.parse_args()
    extractor = extractor_for(EMBEDDED)
    parts: list[torch.Tensor] = []
    domains: list[int] = []
    for domain, dataset in enumerate(DOMAINS):
        listing = list_source(getattr(options, dataset), dataset)
        assert listing.splits is not None
        for name in listing.splits["base"]:
            label = listing.class_names.index(name)
            images = [image for image, own in zip(listing.images, listing.labels, strict=True) if own == label][:MAX_IMAGES]
            paths = [image.path for image in images if isinstance(image, ImageFile)]
            parts.append(torch.cat([batch.features for batch in feature_batches(paths, extractor, batch_size=64)]))
            domains.append(domain)
    labels = torch.arange(len(parts)).repeat_interleave(torch.tensor([len(part) for part in parts]))
    counts = [f"{domains.count(domain)} base classes of {title}" for domain, title in enumerate(DOMAINS.values())]
    path = Path("s2m2/recognition") / PACKAGED.format(EMBEDDED)
    about = {"source": " and ".join(counts), "domains": json.dumps(domains), "backbone": extractor.fingerprint}
    write_tensors(path, {**quantize(torch.cat(parts)), "labels": labels.to(torch.int16)}, about)
    print(f"{path}: {len(labels):,} images, {path.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
