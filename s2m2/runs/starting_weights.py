"""Where fine-tuning starts: the weights of stage 1, with heads that fit, and new ones where they do not."""

from collections.abc import Sequence

from torch import Tensor, nn

from s2m2.io import parse_json
from s2m2.runs.checkpoint import flat_key, load_best, read_tensors
from s2m2.runs.directory import RunDirectory


def load_start(run: RunDirectory, backbone: nn.Module, objective: nn.Module, classes: Sequence[str]) -> list[str]:
    """Load the best weights of stage 1 into a backbone and heads with initial weights.

    Weights that this run trained fit. Imported and exported ones may have been trained on other classes, or without one of the heads: a
    head that does not fit keeps its initial weights.

    Args:
        classes: names of the base classes, in the order of the classifier's outputs.

    Returns:
        A sentence for each head that starts anew.

    Raises:
        InputError: the weights are missing, damaged or of another network.
    """
    path = run.best("pretrain")
    if not run.imported.is_file():
        load_best(path, backbone, objective)
        return []
    tensors, about = read_tensors(path)
    load_best(path, backbone)
    stated = parse_json(about["classes"]) if "classes" in about else None
    fitting, notes = {}, []
    for head, own in _heads(objective).items():
        stored = {key: value for key, value in tensors.items() if key.startswith(f"heads.{head}.")}
        reason = _misfit(own, stored)
        if not reason and head == "classifier" and stated is not None and stated != list(classes):
            reason = "that of the weights is of other classes"
        if reason:
            notes.append(f"the {head} head starts anew, as {reason}")
        else:
            fitting.update(stored)
    own_keys = {flat_key(name): name for name in objective.state_dict()}
    objective.load_state_dict({own_keys[key]: value for key, value in fitting.items()}, strict=False)
    return notes


def _heads(objective: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Tensors of each head by flat keys."""
    heads: dict[str, dict[str, Tensor]] = {}
    for name, value in objective.state_dict().items():
        key = flat_key(name)
        heads.setdefault(key.split(".")[1], {})[key] = value
    return heads


def _misfit(own: dict[str, Tensor], stored: dict[str, Tensor]) -> str:
    """Why a head cannot be loaded; empty where it can."""
    if not stored:
        return "the weights have none"
    if own.keys() != stored.keys():
        return "that of the weights is of another kind"
    outputs = len(next(iter(own.values()))), len(next(iter(stored.values())))
    if any(value.shape != stored[key].shape for key, value in own.items()):
        return f"that of the weights has {outputs[1]} outputs, not {outputs[0]}" if outputs[0] != outputs[1] else "its size differs"
    return ""
