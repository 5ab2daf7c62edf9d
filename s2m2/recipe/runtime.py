"""Settings of the machine. They change speed and rounding, and several devices the draws of dropout; nothing else that is computed."""

from dataclasses import dataclass
from typing import Literal

from s2m2.recipe.checks import check

LoggerName = Literal["csv", "wandb", "mlflow"]


@dataclass(frozen=True, kw_only=True)
class RuntimeConfig:
    """Where and how a run computes."""

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Kind of device; auto takes a GPU where there is one."""
    devices: int = 1
    """Devices on each machine; under `torchrun`, its --nproc-per-node."""
    nodes: int = 1
    """Machines, each with so many devices."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """Arithmetic of the network: float32, or mixed with bfloat16. On an NVIDIA GPU, float32 convolutions are TF32; matrix products, and so
    all few-shot classifiers, are not."""
    compile: bool = False
    """Compile the network with torch.compile, on one device: slower to start, faster a step; needs a C++ compiler on a CPU. Left out on
    several devices, whose shared statistics cannot be compiled."""
    channels_last: bool = True
    """Keep images in channels-last memory order, in which convolutions are faster on CPUs and in a GPU's mixed precision."""
    threads: int = 0
    """CPU threads of torch; 0 leaves it to torch. With 1, a repeated run gives the same weights bit for bit."""
    checkpoint_seconds: float = 60.0
    """Most seconds of training that a kill can cost."""
    loggers: tuple[LoggerName, ...] = ()
    """Where losses and scores go beside the JSON lines and TensorBoard files of the run directory: csv, a dataset there; wandb and mlflow,
    Weights & Biases and MLflow, where the variables of their own in the environment say; without MLFLOW_TRACKING_URI, mlflow writes
    mlflow.db in the run directory."""

    def __post_init__(self) -> None:
        check(len(set(self.loggers)) == len(self.loggers), "runtime.loggers", list(self.loggers), "different names")
        for name, least in (("devices", 1), ("nodes", 1), ("threads", 0), ("checkpoint_seconds", 0)):
            check(getattr(self, name) >= least, f"runtime.{name}", getattr(self, name), f"{least} or more")
