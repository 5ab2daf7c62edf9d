"""Provenance of a run: versions, hardware, data, command, times."""

import os
import platform
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from s2m2.errors import InputError
from s2m2.io import read_json, write_json
from s2m2.runs.directory import RunDirectory

PACKAGES = ("s2m2", "torch", "torchvision", "numpy", "lightning-fabric")


def record(run: RunDirectory, **facts: Any) -> dict[str, Any]:
    """Add facts and those of the machine to the provenance of a run, and return all of it."""
    provenance = read_provenance(run)
    provenance.update(
        command=" ".join(["s2m2", *sys.argv[1:]]),
        updated=datetime.now(UTC).isoformat(timespec="seconds"),
        python=platform.python_version(),
        packages={name: version(name) for name in PACKAGES},
        machine={
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
            "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        },
        **facts,
    )
    provenance.setdefault("started", provenance["updated"])
    write_json(run.provenance, provenance)
    return provenance


def read_provenance(run: RunDirectory) -> dict[str, Any]:
    """The facts recorded so far.

    Raises:
        InputError: the file is damaged, or cannot be read now.
    """
    try:
        return read_json(run.provenance)
    except FileNotFoundError:
        return {}
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{run.provenance} is damaged ({error}); delete it to start a new record") from error


def hardware_of(device: torch.device, processes: int = 1) -> str:
    """The device in words: the GPUs in use, or the processor with its cores."""
    if device.type != "cuda":
        return f"{_processor()}, {os.cpu_count()} cores"
    return f"{processes} x " * (processes > 1) + torch.cuda.get_device_name(device)


def trained_on(provenance: Mapping[str, Any], stages: Iterable[str]) -> str:
    """The recorded hardware on which some stages ended."""
    return "; ".join(dict.fromkeys(provenance[stage]["hardware"] for stage in stages if "hardware" in provenance.get(stage, {})))


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
