"""The device of a run from its settings."""

import ctypes
import logging
import platform
from inspect import signature
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch.nn.parallel import DistributedDataParallel

from s2m2.commands.launching import check_launcher, own_environment
from s2m2.errors import InputError
from s2m2.recipe import RuntimeConfig

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Settings of the C library's allocator, as `mallopt` knows them."""
_OPTIONS = signature(DistributedDataParallel.__init__).parameters
UNSENT: dict[str, Any] = {"forward_sync_buffers" if "forward_sync_buffers" in _OPTIONS else "broadcast_buffers": False}
"""Statistics of batch normalization are the same on all processes already, so nothing has to send them round before every step; torch
2.15 has a new name for that."""


def build_fabric(config: RuntimeConfig) -> Fabric:
    """Fabric on the devices that the settings name, processes launched.

    Raises:
        InputError: a device that this machine does not have, or more processes than were started.
    """
    kind = _accelerator(config)
    check_launcher(config)
    if config.threads:
        torch.set_num_threads(config.threads)
    if kind == "cpu":
        keep_freed_memory()
    if kind == "cuda":
        state_float32()
    strategy = DDPStrategy(gradient_as_bucket_view=True, **UNSENT) if config.devices * config.nodes > 1 else "auto"
    fabric = Fabric(
        accelerator=kind,
        devices=config.devices,
        num_nodes=config.nodes,
        precision=config.precision,
        strategy=strategy,
        plugins=own_environment(),
    )
    fabric.launch()
    return fabric


def state_float32() -> None:
    """What float32 means on an NVIDIA GPU: convolutions by TF32 (10 bits of mantissa), matrix products by all of it.

    Both are torch's defaults, stated so that no other library changes results. Heads and measures are matrix products. Fabric advises
    to give that up, which its users need not read.
    """
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False
    logging.getLogger("lightning_fabric.utilities.rank_zero").addFilter(_not_of_tf32)


def _not_of_tf32(record: logging.LogRecord) -> bool:
    return "set_float32_matmul_precision" not in record.getMessage()


def keep_freed_memory() -> None:
    """Keep memory that was freed for the next step, where the C library is glibc.

    By itself it hands the activations of a step back to the system, to be asked for and zeroed page by page in the next one. Blocks of
    more than 32 MiB, the largest threshold that it takes, still go back.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_THRESHOLD, 32 * 2**20)
        library.mallopt(TRIM_THRESHOLD, 2**31 - 1)


def _accelerator(config: RuntimeConfig) -> str:
    found = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if config.accelerator != "auto" and not found[config.accelerator]:
        raise InputError(f"--runtime.accelerator is {config.accelerator}, but this machine has no such device")
    kind = config.accelerator if config.accelerator != "auto" else next(name for name in ("cuda", "mps", "cpu") if found[name])
    if kind == "cuda" and config.devices > torch.cuda.device_count():
        raise InputError(f"--runtime.devices is {config.devices}, but this machine has {torch.cuda.device_count()} GPU(s)")
    return kind
