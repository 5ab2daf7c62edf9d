"""A conventional training pipeline, to compare with: images opened by Pillow, augmented one by one by torchvision's transforms in the
workers of a DataLoader, float32 in the usual memory order, no compilation; where images are rotated, all four rotations of a batch.

The losses and the optimizer are those of this package, so that both sides compute the same of the same network.
"""

from collections.abc import Iterator

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision.transforms import v2

from s2m2.models import Backbone
from s2m2.random import StepStream
from s2m2.recipe import DataConfig, TrainingConfig
from s2m2.training.objectives import Objective
from s2m2.training.optim import build_optimizer
from s2m2.training.step import Networks

ENDLESS = 2**62
"""Images to sample, more than are ever used, so that no worker runs out of work while steps are timed."""


class Images(Dataset[tuple[Tensor, int]]):
    """Images in memory as Pillow opens them, each augmented `views` times on access."""

    def __init__(self, images: Tensor, labels: Tensor, data: DataConfig, views: int) -> None:
        self.images = [Image.fromarray(image.numpy()) for image in images]
        self.labels, self.views = labels.tolist(), views
        augment = data.augment
        self.transform = v2.Compose(
            [
                v2.RandomResizedCrop(data.size, scale=augment.scale, ratio=augment.ratio, antialias=True),
                v2.ColorJitter(augment.jitter, augment.jitter, augment.jitter),
                v2.RandomHorizontalFlip(augment.flip),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(*data.normalization),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        return torch.stack([self.transform(self.images[item]) for _ in range(self.views)]), self.labels[item]


class Conventional:
    """Training steps of that pipeline."""

    def __init__(
        self, images: Images, backbone: Backbone, objective: Objective, config: TrainingConfig, device: torch.device, workers: int
    ) -> None:
        self.config, self.device = config, device
        self.networks = Networks(backbone, objective).to(device).train()
        self.optimizer = build_optimizer(config.optimizer, self.networks)
        self.loader = DataLoader(
            images,
            config.batch_size,
            sampler=RandomSampler(images, replacement=True, num_samples=ENDLESS),
            num_workers=workers,
            pin_memory=device.type == "cuda",
            multiprocessing_context="fork" if workers else None,
        )

    @property
    def ahead(self) -> int:
        """Batches that the workers make in advance; at least 1."""
        return max(1, self.loader.num_workers * (self.loader.prefetch_factor or 0))

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Endless batches from new workers, which stop when this is dropped."""
        return iter(self.loader)

    def step(self, number: int, images: Tensor, labels: Tensor) -> None:
        """Forward, backward and update on one batch "item view 3 size size"."""
        views = images.to(self.device, non_blocking=True).transpose(0, 1)
        config = self.config
        self.networks.stream = StepStream(seed=0, stage=config.stage, step=number, batch_size=config.batch_size)
        terms = self.networks(views, labels.to(self.device, non_blocking=True))
        self.optimizer.zero_grad()
        terms.total.backward()
        self.optimizer.step()
