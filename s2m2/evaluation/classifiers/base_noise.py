"""Gaussian noise with the covariances of the base classes, drawn once for many tasks."""

from collections import OrderedDict
from threading import Lock

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.seeding import generator_for

PAGE_ROWS = 2048
MAX_STORE = 2**28
"""Numbers that are kept, 1 GB of float32; what was not used for longest is forgotten first and drawn again when it is wanted."""


class BaseNoise:
    """For each base class an endless sequence of independent rows of noise, made page by page when they are first asked for.

    What a row is depends on the seed, the class and its place alone. Safe to use from several threads.
    """

    rows = PAGE_ROWS
    """Rows of a page."""

    def __init__(self, factors: Float[Tensor, "class rank dim"], seed: int) -> None:
        self.factors, self.seed = factors, seed
        self.pages: OrderedDict[tuple[int, int], Tensor] = OrderedDict()
        self.most = max(MAX_STORE // (PAGE_ROWS * factors.shape[2]), 1)
        self.lock = Lock()

    def add_to(self, target: Float[Tensor, "row dim"], number: int, start: int, scale: float) -> None:
        """Add the rows of a class from `start` on to a tensor, multiplied by `scale`."""
        done = 0
        while done < len(target):
            page, first = divmod(start + done, PAGE_ROWS)
            last = min(first + len(target) - done, PAGE_ROWS)
            target[done : done + last - first].add_(self._page(number, page)[first:last].to(target), alpha=scale)
            done += last - first

    def _page(self, number: int, page: int) -> Float[Tensor, "row dim"]:
        with self.lock:
            if (number, page) in self.pages:
                self.pages.move_to_end((number, page))
                return self.pages[number, page]
        factor = self.factors[number]
        normal = torch.randn(PAGE_ROWS, len(factor), generator=generator_for(self.seed, "base noise", number, page))
        made = normal.to(factor) @ factor
        with self.lock:
            self.pages[number, page] = made
            while len(self.pages) > self.most:
                self.pages.popitem(last=False)
        return made
