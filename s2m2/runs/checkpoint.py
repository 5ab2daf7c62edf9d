"""Checkpoints of a training stage: the state to continue from, and the best weights.

Both are written whole or not at all. `last.pt` is read with `weights_only=True`; `best.safetensors` holds tensors alone, named
`backbone.*` and `objective.*`, with a few words about them as metadata.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from s2m2.errors import InputError, is_out_of_memory
from s2m2.files import replacing, write_text


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a training stage has come."""

    step: int = 0
    """Optimization steps done."""
    best_score: float = -1.0
    """Best validation score so far, a fraction; -1 before the first."""
    best_epoch: int = 0
    """Epochs done when it was reached."""
    waited: int = 0
    """Validations since then."""
    seconds: float = 0.0
    """Seconds of training so far, over all starts."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a training stage ended."""

    epochs: int
    """Epochs trained."""
    best_epoch: int
    """Epochs after which the kept weights were reached; 0 is the start of the stage."""
    best_score: float = -1.0
    """Their validation score, a fraction; -1 where nobody knows it."""
    stopped_early: bool = False
    """Patience ended the stage before its last epoch."""
    seconds: float = 0.0
    """Seconds of training."""
    imported: str = ""
    """Name of the file that the weights were imported from, in place of a training here."""


def save_last(
    path: Path,
    backbone: nn.Module,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    average: nn.Module | None = None,
) -> None:
    """Write the state to continue from; of a moving average of the weights too, where there is one."""
    state = {
        "backbone": backbone.state_dict(),
        "objective": objective.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": asdict(progress),
        **({"average": average.state_dict()} if average is not None else {}),
    }
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_last(
    path: Path, backbone: nn.Module, objective: nn.Module, optimizer: torch.optim.Optimizer, average: nn.Module | None = None
) -> Progress:
    """Restore the state to continue from; without a checkpoint, nothing is restored and the progress is none.

    Raises:
        InputError: the file cannot be read, or belongs to another network.
    """
    if not path.exists():
        return Progress()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        backbone.load_state_dict(state["backbone"])
        objective.load_state_dict(state["objective"])
        for kept, group in zip(state["optimizer"]["param_groups"], optimizer.param_groups, strict=True):
            kept["fused"] = group["fused"]  # of this device, not of that one; by it torch decides where the count of steps goes
        optimizer.load_state_dict(state["optimizer"])
        _lay_out_like_weights(optimizer)
        if average is not None:
            average.load_state_dict(state["average"])
        return Progress(**state["progress"])
    except Exception as error:  # torch.load raises many kinds for a damaged file, all with the same meaning here
        if is_out_of_memory(error):
            raise  # the file is sound
        raise InputError(f"{path} cannot be continued from ({_first_line(error)}); delete it to start this stage anew") from error


def _lay_out_like_weights(optimizer: torch.optim.Optimizer) -> None:
    """Give what the optimizer remembers of each weight its memory order, which may be another than that of the file.

    A run may go on in another order, and the fused optimizers of a GPU refuse weights and memories that differ in it.
    """
    for weight, kept in optimizer.state.items():
        for name, value in kept.items():
            if isinstance(value, Tensor) and value.shape == weight.shape and value.stride() != weight.stride():
                kept[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


def save_best(path: Path, backbone: nn.Module, objective: nn.Module, about: Mapping[str, Any]) -> None:
    """Write the best weights, with a few words about them (stage, epoch, score)."""
    parts = {"backbone": backbone, "objective": objective}
    save_tensors(path, {f"{part}.{name}": value for part, module in parts.items() for name, value in module.state_dict().items()}, about)


def save_tensors(path: Path, values: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors under the names `backbone.*` and `objective.*` as weights of a stage, with a few words about them."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in values.items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={key: str(value) for key, value in about.items()})


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The weights of a stage under the names `backbone.*` and `objective.*`, and the words about them.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            return {name: stored.get_tensor(name) for name in stored.keys()}, dict(stored.metadata() or {})  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} does not hold weights of this network ({_first_line(error)})") from error


def load_best(path: Path, backbone: nn.Module, objective: nn.Module | None = None) -> None:
    """Load the best weights of a stage into a backbone and, if given, the heads into an objective.

    Raises:
        InputError: the file is missing, damaged or of another network.
    """
    tensors, _ = read_tensors(path)
    try:
        backbone.load_state_dict(_part(tensors, "backbone."))
        if objective is not None:
            objective.load_state_dict(_part(tensors, "objective."))
    except RuntimeError as error:
        raise InputError(f"{path} does not hold weights of this network ({_first_line(error)})") from error


def load_head(path: Path, name: str, head: nn.Module) -> None:
    """Load one head from the best weights of a stage, wherever in its objective it is.

    Raises:
        InputError: the file is missing or damaged, or has no such head.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            places = {key.rsplit(f".{name}.", 1)[1]: key for key in stored.keys() if key.startswith("objective.") and f".{name}." in key}  # noqa: SIM118
            head.load_state_dict({own: stored.get_tensor(key) for own, key in places.items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        raise InputError(f"{path} does not hold the {name} of this network ({_first_line(error)})") from error


def save_outcome(path: Path, outcome: Outcome) -> None:
    """Mark a training stage as finished."""
    write_text(path, json.dumps(asdict(outcome), indent=2) + "\n")


def load_outcome(path: Path) -> Outcome | None:
    """How a stage ended, or None while it has not.

    Raises:
        InputError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        return Outcome(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged ({_first_line(error)}); delete it, and the stage ends again from its checkpoint") from error


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
