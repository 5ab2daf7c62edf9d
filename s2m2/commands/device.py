"""The device of a run from its settings."""

import ctypes
import os
import platform

import torch
from lightning_fabric import Fabric

from s2m2.errors import InputError
from s2m2.recipe import RuntimeConfig

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Settings of the C library's allocator, as `mallopt` knows them."""


def build_fabric(config: RuntimeConfig) -> Fabric:
    """Fabric on the devices that the settings name, processes launched.

    Raises:
        InputError: a device that this machine does not have.
    """
    kind = _accelerator(config)
    if config.threads:
        torch.set_num_threads(config.threads)
    if kind == "cpu":
        keep_freed_memory()
    several = config.devices * config.nodes > 1
    fabric = Fabric(
        accelerator=kind, devices=config.devices, num_nodes=config.nodes, precision=config.precision, strategy="ddp" if several else "auto"
    )
    fabric.launch()
    return fabric


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
    processes = int(os.environ.get("WORLD_SIZE", config.devices * config.nodes))
    if processes != config.devices * config.nodes:
        raise InputError(
            f"--runtime.devices {config.devices} times --runtime.nodes {config.nodes} is not the {processes} processes of the launcher"
        )
    return kind
