"""Independent random streams by name, repeatable on any number of processes.

Nothing samples from a global generator except dropout and torchvision's CutMix, which take no other; the training loop seeds it at
each step. The stream of step t is a function of (seed, purpose, t): a resumed run samples what the uninterrupted run would have
sampled, and no generator state is stored.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Purpose = str | int


def seed_for(seed: int, *purpose: Purpose) -> int:
    """A 63-bit seed for one purpose: the leading bits of SHA-256 over the seed and the names, so that streams do not overlap."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator_for(seed: int, *purpose: Purpose, device: "torch.device | str" = "cpu") -> "torch.Generator":
    """The torch generator of one purpose, on the device that samples from it."""
    import torch  # seconds, which callers of `seed_for` alone do not pay

    return torch.Generator(device=device).manual_seed(seed_for(seed, *purpose))


def numpy_generator_for(seed: int, *purpose: Purpose) -> np.random.Generator:
    """The NumPy generator of one purpose, for distributions that torch cannot sample from a generator, such as Beta."""
    return np.random.default_rng(seed_for(seed, *purpose))


@dataclass(frozen=True, kw_only=True)
class StepStream:
    """The randomness of one optimization step, and this process's part of its batch.

    Samples are made for the whole batch and then cut to that part, so that an image gets the same numbers on one process and on eight.
    """

    seed: int
    stage: str
    step: int
    batch_size: int
    """Images in the whole batch, over all processes."""
    rank: int = 0
    world_size: int = 1

    @property
    def local_size(self) -> int:
        """Images of the batch on this process."""
        return self.batch_size // self.world_size

    def generator(self, *purpose: Purpose, device: "torch.device | str" = "cpu") -> "torch.Generator":
        """The generator of one purpose within this step, equal on all processes."""
        return generator_for(self.seed, self.stage, "step", self.step, *purpose, device=device)

    def numpy_generator(self, *purpose: Purpose) -> np.random.Generator:
        """The NumPy generator of one purpose within this step, equal on all processes."""
        return numpy_generator_for(self.seed, self.stage, "step", self.step, *purpose)

    def local(self, samples: "torch.Tensor") -> "torch.Tensor":
        """The rows of a sample for the whole batch that belong to the images of this process."""
        start = self.rank * self.local_size
        return samples[start : start + self.local_size]
