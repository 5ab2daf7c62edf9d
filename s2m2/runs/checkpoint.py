"""Checkpoints of a training stage: the state to resume from, and the best weights.

Both are written atomically, and have checksums that are checked when they are read. `last.pt` is read with `weights_only=True`;
`best.safetensors` holds tensors and a few words of metadata. What `last.pt` says of the best weights is what counts: new ones lie in
`next.safetensors` until it is written, so a kill at any moment leaves weights and progress that belong together.
In both, tensors have flat keys: `backbone.*`, `heads.classifier.*`, `heads.rotation.*`. Files of version 0.1.0 and exports made by it
are read through the same map (`flat_key`).
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from s2m2.data.torch_files import check_content
from s2m2.errors import InputError, is_out_of_memory
from s2m2.io import CHECKSUM, check_tensors, read_json, reading, replace_file, stated_checksum, sync_folder, write_json, write_tensors

BEST = "best.safetensors"
"""Name of the file of the best weights of a stage."""
HEADS = {"class_head": "classifier", "turn_head": "rotation", "rotation_head": "rotation"}
"""Heads of version 0.1.0, and of modules, and their keys in files. Their place in an objective does not matter:
`objective.beside.class_head.norm`, `module.objective.class_head.norm` and `heads.classifier.norm` are one key."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of a training stage."""

    step: int = 0
    """Optimization steps done."""
    best_score: float = -1.0
    """Best validation score so far, a fraction; -1 before the first."""
    best_epoch: int = 0
    """Epochs done at that score."""
    waited: int = 0
    """Validations since then."""
    seconds: float = 0.0
    """Seconds of training, over all starts."""
    best_weights: str = ""
    """Checksum of the file of the best weights; empty before the first, and in files of 0.1.0."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Outcome of a training stage."""

    epochs: int
    """Epochs trained."""
    best_epoch: int
    """Epochs done at the best weights; 0 is the start of the stage."""
    best_score: float = -1.0
    """Their validation score, a fraction; -1 if unknown."""
    stopped_early: bool = False
    """Patience ended the stage before its last epoch."""
    seconds: float = 0.0
    """Seconds of training."""
    imported: str = ""
    """Source of imported weights; empty after training."""
    weights: str = ""
    """Checksum of the file of the best weights; empty in files of 0.1.0."""


def flat_key(key: str) -> str:
    """The key of a tensor in our files, for its key in a module, in a file of version 0.1.0, or in a file of ours."""
    names = key.split(".")
    for position, name in enumerate(names):
        if name in ("backbone", "heads"):
            return ".".join(names[position:])
        if name in HEADS:
            return ".".join(["heads", HEADS[name], *names[position + 1 :]])
    return key


def _flat_state(backbone: nn.Module, objective: nn.Module) -> dict[str, Tensor]:
    states = {"backbone": backbone.state_dict(), "heads": objective.state_dict()}
    return {flat_key(f"backbone.{name}"): value for name, value in states["backbone"].items()} | {
        flat_key(name): value for name, value in states["heads"].items()
    }


def _load_flat(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str = "") -> None:
    """Load tensors by flat keys into a module, whose own keys follow `prefix`.

    Raises:
        RuntimeError: keys or shapes differ.
    """
    keys = {name: flat_key(f"{prefix}{name}") for name in module.state_dict()}
    part = {name: tensors[key] for name, key in keys.items() if key in tensors}
    unexpected = set(tensors) - set(keys.values())
    module.load_state_dict({**part, **{key: tensors[key] for key in unexpected}})


def save_last(
    path: Path,
    backbone: nn.Module,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    average: nn.Module | None = None,
) -> None:
    """Write the state to resume from, with the moving average of the weights if there is one."""
    state = {
        "weights": _flat_state(backbone, objective),
        "optimizer": optimizer.state_dict(),
        "progress": asdict(progress),
        **({"average": {flat_key(name): value for name, value in average.state_dict().items()}} if average is not None else {}),
    }
    need = sum(value.nbytes for value in _tensors_of(state))
    with replace_file(path, need) as temporary:
        torch.save(state, temporary)


def _tensors_of(tree: Any) -> list[Tensor]:
    values = tree.values() if isinstance(tree, Mapping) else ()
    return [tree] if isinstance(tree, Tensor) else [tensor for value in values for tensor in _tensors_of(value)]


def load_last(
    path: Path, backbone: nn.Module, objective: nn.Module, optimizer: torch.optim.Optimizer, average: nn.Module | None = None
) -> Progress:
    """Restore the state to resume from. Without a checkpoint nothing is restored, and the progress is that of the start.

    Raises:
        InputError: the file cannot be read, or belongs to another network.
    """
    try:
        with reading(path):
            check_content(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return Progress()
    except InputError:
        raise
    except Exception as error:  # torch.load raises many kinds for a damaged file, all with the same meaning here
        raise InputError(f"{path} is damaged ({_first_line(error)}); moved elsewhere, it lets this stage begin anew") from error
    try:
        weights = state["weights"] if "weights" in state else _weights_of_010(state)
        _load_flat(backbone, _part(weights, "backbone."), "backbone.")
        _load_flat(objective, {name: value for name, value in weights.items() if not name.startswith("backbone.")})
        for saved, group in zip(state["optimizer"]["param_groups"], optimizer.param_groups, strict=True):
            saved["fused"] = group["fused"]  # of this device, not of the saving one; torch places the step counter by it
        optimizer.load_state_dict(state["optimizer"])
        _lay_out_like_weights(optimizer)
        if average is not None:
            _load_flat(average, {flat_key(name): value for name, value in state["average"].items()})
        return Progress(**state["progress"])
    except Exception as error:
        if is_out_of_memory(error):
            raise  # the file is sound
        raise InputError(f"{path} is not a checkpoint of this network and optimizer ({_first_line(error)})") from error


def _weights_of_010(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Flat weights of a checkpoint of version 0.1.0, with a state per module."""
    parts = ("backbone", "objective")
    return {flat_key(f"{part}.{name}"): value for part in parts for name, value in state[part].items()}


def _lay_out_like_weights(optimizer: torch.optim.Optimizer) -> None:
    """Give the optimizer's state of each weight the memory order of that weight, which may differ from the file's.

    A run may resume in another order, and the fused optimizers of a GPU refuse weights and states of different orders.
    """
    for weight, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == weight.shape and value.stride() != weight.stride():
                state[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


def save_best(path: Path, backbone: nn.Module, objective: nn.Module, about: Mapping[str, Any]) -> str:
    """Write the best weights, with a few words about them (stage, epoch, score), and return the checksum of the file."""
    return save_tensors(path, _flat_state(backbone, objective), about)


def save_tensors(path: Path, values: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """Write tensors as the weights of a stage, with a few words about them. Equal content gives equal bytes.

    Returns:
        The checksum that the file states.
    """
    return write_tensors(path, {flat_key(name): value for name, value in values.items()}, {key: str(value) for key, value in about.items()})


def settle_best(coming: Path, best: Path, progress: Progress) -> None:
    """Give new best weights their name once the checkpoint that knows them is written; remove those that no checkpoint knows.

    Args:
        coming: where `save_best` has put them.
        best: the best weights of the stage.
        progress: that of the last checkpoint.

    Raises:
        InputError: the best weights are not those of the checkpoint.
        OSError: the disk refuses.
    """
    if coming.exists():
        with suppress(ValueError):  # damaged, and so removed
            if stated_checksum(coming) == progress.best_weights:
                coming.replace(best)
                sync_folder(best.parent)
        coming.unlink(missing_ok=True)
    if progress.best_weights and (not best.exists() or stated_checksum(best) != progress.best_weights):
        last = f"the checkpoint of step {progress.step:,} beside it"
        raise InputError(f"{best} does not belong to {last}: one of them was replaced; both have to come from one run")


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The weights of a stage by flat keys, and the words about them.

    Raises:
        InputError: the file is missing, damaged, or cannot be read now.
    """
    try:
        with reading(path):
            check_tensors(path)
            with safe_open(path, framework="pt") as stored:
                names, about = stored.keys(), dict(stored.metadata() or {})
                about.pop(CHECKSUM, None)
                return {flat_key(name): stored.get_tensor(name) for name in names}, about
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing") from error
    except (SafetensorError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} does not hold weights, or is damaged ({_first_line(error)})") from error


def load_best(path: Path, backbone: nn.Module, objective: nn.Module | None = None) -> None:
    """Load the best weights of a stage into a backbone and, if given, the heads into an objective.

    Raises:
        InputError: the file is missing, damaged or of another network.
    """
    tensors, _ = read_tensors(path)
    try:
        _load_flat(backbone, _part(tensors, "backbone."), "backbone.")
        if objective is not None:
            _load_flat(objective, {name: value for name, value in tensors.items() if not name.startswith("backbone.")})
    except RuntimeError as error:
        differences = str(error).strip().splitlines()[1:]  # after a heading, one a line
        first = differences[0].strip() if differences else _first_line(error)
        raise InputError(f"{path} does not hold weights of this network ({first})") from error


def load_head(path: Path, name: str, head: nn.Module) -> None:
    """Load one head, `classifier` or `rotation`, from the best weights of a stage.

    Raises:
        InputError: the file is missing or damaged, or has no such head.
    """
    prefix = f"heads.{HEADS.get(name, name)}."
    tensors, _ = read_tensors(path)
    try:
        head.load_state_dict({key.removeprefix(prefix): value for key, value in _part(tensors, prefix).items()})
    except RuntimeError as error:
        raise InputError(f"{path} does not hold the {name} head of this network ({_first_line(error)})") from error


def save_outcome(path: Path, outcome: Outcome) -> None:
    """Mark a training stage as finished."""
    write_json(path, asdict(outcome))


def load_outcome(path: Path) -> Outcome | None:
    """The outcome of a stage; None before its end.

    Raises:
        InputError: the file is damaged, cannot be read now, or is not that of the best weights beside it.
    """
    try:
        outcome = Outcome(**read_json(path))
    except FileNotFoundError:
        return None
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged ({_first_line(error)}); without it the stage resumes from its last checkpoint") from error
    best = path.with_name(BEST)
    stated = outcome.weights
    with suppress(FileNotFoundError, ValueError), reading(best):  # who reads the weights says what is wrong with them
        stated = stated_checksum(best) or ""
    if outcome.weights and stated != outcome.weights:
        raise InputError(f"{best} does not belong to {path}: one of them was replaced; both have to come from one run")
    return outcome


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name: value for name, value in tensors.items() if name.startswith(prefix)}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def fingerprint_of(state: Mapping[str, Tensor], *texts: str) -> str:
    """SHA-256, hexadecimal, over names, types, shapes and values of tensors in any order, and over texts in theirs."""
    names = sorted(state)
    header = [[name, str(state[name].dtype), list(state[name].shape)] for name in names]
    digest = hashlib.sha256(json.dumps([header, texts]).encode())
    for name in names:
        digest.update(state[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
