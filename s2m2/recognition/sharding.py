"""Which part of a stream of images is this process's: of `--shard`, or of the program that started several processes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from s2m2.errors import InputError

LAUNCHERS = (("RANK", "WORLD_SIZE", "LOCAL_RANK"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"))
"""Variables of torchrun and of `srun`: number of the process, number of processes, number on its machine. A batch script of SLURM has only
those of its job, and what it calls is one process."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Every `count`-th image, from position `index` on."""

    index: int = 0
    count: int = 1
    launched: bool = False
    """Of a process that others were started with, which end when one of them reports a failure."""
    device: str | None = None
    """GPU of this process where several share a machine; None: no matter."""

    def name_of(self, output: Path) -> Path:
        """The file of this part: `predictions-00003-of-00016.csv`."""
        if self.count == 1:
            return output
        return output.with_name(f"{output.stem}-{self.index + 1:05d}-of-{self.count:05d}{output.suffix}")


def shard_of(text: str | None, environment: Mapping[str, str] = os.environ) -> Shard:
    """The part of `I/N`, else that of this process of torchrun or srun, else everything.

    Raises:
        InputError: a variable of the environment is no number in range.
    """
    if text is not None:
        first, _, parts = text.partition("/")
        return Shard(index=int(first) - 1, count=int(parts))
    for rank, size, local in LAUNCHERS:
        if rank not in environment or size not in environment:
            continue
        index, count = _number(rank, environment), _number(size, environment)
        if not 0 <= index < count:
            raise InputError(f"{rank} in the environment is {index}, but must be below {size}, {count}")
        gpu = _number(local, environment) if local in environment and torch.cuda.is_available() else None
        return Shard(index=index, count=count, launched=True, device=None if gpu is None else f"cuda:{gpu % torch.cuda.device_count()}")
    return Shard()


def _number(name: str, environment: Mapping[str, str]) -> int:
    try:
        return int(environment[name])
    except ValueError as error:
        raise InputError(f"{name} in the environment is {environment[name]!r}, but must be a whole number") from error
