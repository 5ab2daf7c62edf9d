"""Settings of the machine. They change speed and rounding, and dropout on several devices; no other result."""

from dataclasses import dataclass
from typing import Literal

from s2m2.recipe.ranges import NonNegativeFloat, NonNegativeInt, PositiveInt, check_distinct, check_ranges

LoggerName = Literal["csv", "wandb", "mlflow"]


@dataclass(frozen=True, kw_only=True)
class RuntimeConfig:
    """Devices, precision and logging."""

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Device type. auto: a GPU if there is one."""
    devices: PositiveInt = 1
    """Devices on each machine; under `torchrun`, its --nproc-per-node."""
    nodes: PositiveInt = 1
    """Machines, each with that many devices."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    """Arithmetic of training. auto: bfloat16 with float32 where an x86 processor or a GPU multiplies bfloat16, else float32 (32-true).
    Features and scores are in float32 always. On an NVIDIA GPU, float32 convolutions use TF32; matrix products, and so all few-shot
    classifiers, do not."""
    compile: bool = False
    """Compile the network with torch.compile, on one device: slower to start, faster steps; on a CPU it needs a C++ compiler. Ignored on
    several devices, whose shared BatchNorm statistics cannot be compiled."""
    channels_last: bool = True
    """Keep images in channels-last memory order, which makes convolutions faster on CPUs and in mixed precision on GPUs."""
    threads: NonNegativeInt = 0
    """CPU threads of torch; 0: torch's choice. With 1, a repeated run gives the same weights bit for bit."""
    checkpoint_seconds: NonNegativeFloat = 60.0
    """Seconds between checkpoints: the most training time that a kill can cost."""
    loggers: tuple[LoggerName, ...] = ()
    """Where metrics go besides the JSON lines and TensorBoard files of the run directory. csv: a file there. wandb, mlflow: Weights &
    Biases and MLflow, set up by their own environment variables; without MLFLOW_TRACKING_URI, mlflow writes mlflow.db in the run
    directory."""

    def __post_init__(self) -> None:
        check_ranges(self, "runtime")
        check_distinct("runtime.loggers", self.loggers, empty=True)
