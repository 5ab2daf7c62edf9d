"""The arithmetic of training: float32, or mixed with bfloat16 where the device computes that by itself."""

import logging
from collections.abc import Mapping
from typing import Literal

import torch

from s2m2.recipe import RuntimeConfig

Resolved = Literal["32-true", "bf16-mixed"]

CPU_FLAGS = ("avx512_bf16", "amx_bf16")
"""What torch calls the instructions of x86 processors that multiply bfloat16. Arm has some too, but with them nothing was measured."""
AMPERE = (8, 0)
"""First compute capability of NVIDIA GPUs with bfloat16."""
TOLD_HERE = ("set_float32_matmul_precision", "Automatic Mixed Precision")
"""Words of Fabric's messages on arithmetic: advice that does not hold here, and what a run says itself."""


def resolve_precision(config: RuntimeConfig, accelerator: str) -> Resolved:
    """The arithmetic of a run on an accelerator ("cpu", "cuda" or "mps"); `auto` is asked of the device."""
    if config.precision != "auto":
        return config.precision
    return "bf16-mixed" if _has_bfloat16(accelerator) else "32-true"


def _has_bfloat16(accelerator: str) -> bool:
    """Whether the device multiplies bfloat16, rather than imitates it."""
    if accelerator == "cuda":
        return torch.cuda.get_device_capability() >= AMPERE
    capabilities: Mapping[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # which older versions of torch do not have
    return accelerator == "cpu" and any(capabilities.get(flag, False) for flag in CPU_FLAGS)


def precision_words(config: RuntimeConfig, resolved: Resolved) -> str:
    """The arithmetic for a person, with the flag that changes what was chosen here."""
    words = "float32" if resolved == "32-true" else "bfloat16 and float32"
    if config.precision != "auto":
        return words
    choices = {"bf16-mixed": "as the device has bfloat16; --runtime.precision 32-true for float32", "32-true": "no bfloat16 on this device"}
    return f"{words} ({choices[resolved]})"


def silence_fabric() -> None:
    """Show no message of Fabric on arithmetic: a run states its own."""
    logging.getLogger("lightning_fabric.utilities.rank_zero").addFilter(_not_told_here)


def _not_told_here(record: logging.LogRecord) -> bool:
    return not any(words in str(record.msg) for words in TOLD_HERE)
