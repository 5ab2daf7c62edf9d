"""Independent random streams by name, and what makes a step repeat itself on any number of processes.

Nothing draws from a global generator but dropout, which torch lets draw from no other; the training loop seeds that for each step.
The stream for step t is a function of (seed, purpose, t), so a run that is continued draws what the uninterrupted one would have
drawn, and no generator state is ever stored.
"""

from dataclasses import dataclass

import numpy as np
import torch

from s2m2.seeds import Purpose as Purpose
from s2m2.seeds import seed_for as seed_for


def generator_for(seed: int, *purpose: Purpose, device: torch.device | str = "cpu") -> torch.Generator:
    """The torch generator of one purpose, on the device that will draw from it."""
    return torch.Generator(device=device).manual_seed(seed_for(seed, *purpose))


def numpy_generator_for(seed: int, *purpose: Purpose) -> np.random.Generator:
    """The NumPy generator of one purpose, for the draws that torch cannot make from a generator (a Beta, say)."""
    return np.random.default_rng(seed_for(seed, *purpose))


@dataclass(frozen=True, kw_only=True)
class StepStream:
    """The randomness of one optimization step, and the share of its batch that this process holds.

    Everything is drawn for the whole batch and then cut to the share, so that a step draws the same numbers for the same image
    on one process and on eight.
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

    def generator(self, *purpose: Purpose, device: torch.device | str = "cpu") -> torch.Generator:
        """The generator of one purpose within this step, equal on all processes."""
        return generator_for(self.seed, self.stage, "step", self.step, *purpose, device=device)

    def numpy_generator(self, *purpose: Purpose) -> np.random.Generator:
        """As `generator`, for NumPy."""
        return numpy_generator_for(self.seed, self.stage, "step", self.step, *purpose)

    def local(self, drawn: torch.Tensor) -> torch.Tensor:
        """The rows of a whole-batch draw that belong to the images of this process."""
        start = self.rank * self.local_size
        return drawn[start : start + self.local_size]
