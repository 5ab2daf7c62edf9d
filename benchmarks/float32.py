"""What float32 means on an NVIDIA GPU: all of it, or TF32, which keeps 10 bits of the mantissa and is several times as fast."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def float32_words(device: torch.device) -> str:
    """A sentence for a report, empty on a CPU, where float32 is what it says."""
    if device.type != "cuda":
        return ""
    convolutions, products = (
        "TF32" if allowed else "IEEE float32" for allowed in (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
    )
    return f"On this GPU float32 means {convolutions} in convolutions and {products} in matrix products."


@contextmanager
def products_like_convolutions(device: torch.device) -> Iterator[None]:
    """Matrix products of float32 compute as convolutions do, so that the speed of one can be held against that of the other."""
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
