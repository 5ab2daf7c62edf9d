"""What a request may cost."""

from dataclasses import dataclass

MEGA = 10**6
CPU_BATCH = 4
"""Larger batches are slower on a CPU (`benchmarks/reports/serving-2026-11-27.md`), and take more memory."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds that keep one request, or many at once, from taking the machine."""

    max_bytes: int = 32 * MEGA
    """Of the body of a request."""
    max_files: int = 64
    """Photos in a request."""
    max_pixels: int = 50 * MEGA
    """Of a photo, told from its header before it is decoded."""
    max_waiting: int = 128
    """Requests that are worked on or wait for it; further ones are asked to come back."""
    seconds: float = 30.0
    """For a request, its upload included."""
    batch_size: int | None = None
    """Photos in one pass of the network; None: `CPU_BATCH` on a CPU, else as many as the model says."""
    batch_wait: float = 0.005
    """Seconds that a photo may wait for others of the same batch."""
