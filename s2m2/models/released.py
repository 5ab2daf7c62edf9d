"""The weights that the authors of S2M2 released, under the names of our `wrn28_10`: the same architecture under other names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from s2m2.errors import InputError
from s2m2.models.wide_resnet import BLOCKS, wrn28_10
from s2m2.selfsupervision import ROTATIONS

WRAPPERS = ("module", "_orig_mod")
"""Parts of a name that `DataParallel` and `torch.compile` insert before the module that they wrap."""
PREFIXES = ("feature", "backbone", "model", "net", "network", "encoder")
"""First parts of the backbone's names: `feature` in files of the rotation stage, the others where people keep a network in another."""
CLASSIFIERS = ("linear", "classifier")
"""Names of the classifier: in most files, and in those of the rotation stage."""
HEADS: dict[str, tuple[str, ...]] = {"cosine": ("L.weight_g", "L.weight_v"), "linear": ("weight", "bias")}
"""Tensors of a classifier: a cosine classifier, or a plain softmax layer, as in the authors' CIFAR-FS model."""
STATISTICS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
"""Tensors of batch normalization."""
WIDTH_KEY = "block1.layer.0.conv1.weight"


@dataclass(frozen=True, kw_only=True, eq=False)
class ReleasedWeights:
    """A released checkpoint under our names."""

    backbone: dict[str, Tensor]
    """State of `wrn28_10(width)`, complete."""
    width: int
    """Channels of the first stage."""
    class_head: dict[str, Tensor] | None
    """State of a `CosineHead`, `direction` and `norm`, or of a `LinearHead`, `weight` and `bias`; None where the file has none."""
    head: Literal["cosine", "linear"] = "cosine"
    """Kind of that head."""
    rotation_head: dict[str, Tensor] | None = None
    """State of the rotation head, a `LinearHead` of four classes; None where the file has none."""

    @property
    def outputs(self) -> int | None:
        """Classes of the head, None without one. The authors' files have more of them than base classes."""
        return len(next(iter(self.class_head.values()))) if self.class_head is not None else None


def translate(state: Mapping[str, Tensor], rotate: Mapping[str, Tensor] | None = None) -> ReleasedWeights:
    """A released state under our names: every tensor used once, of the right shape, and finite.

    Args:
        state: the entry `state` of a released file; `module.` may stand anywhere in its names.
        rotate: its entry `rotate`, the weights of the rotation head.

    Raises:
        InputError: a tensor is missing, unknown, of another shape or type, or not finite. The message names it, but not the file.
    """
    tensors = _bare_names(state)
    kind, head = _take_head(tensors)
    if WIDTH_KEY not in tensors:
        raise InputError(f"lacks {WIDTH_KEY}, which the authors' WRN-28-10 has")
    width = tensors[WIDTH_KEY].shape[0]
    with torch.device("meta"):
        network = wrn28_10(width)
    expected, backbone = network.state_dict(), {}
    for name, released in released_names().items():
        if name in expected:
            backbone[name] = _checked(released, tensors.pop(released, None), expected[name])
    assert backbone.keys() == expected.keys(), "a name of ours has no released name"
    for unknown in tensors:
        raise InputError(f"has {unknown}, which the authors' WRN-28-10 does not have")
    class_head = _class_head(kind, head, network.feature_dim) if head is not None else None
    rotation_head = _rotation_head(rotate, network.feature_dim) if rotate else None
    return ReleasedWeights(backbone=backbone, width=width, class_head=class_head, head=kind, rotation_head=rotation_head)


def released_names() -> dict[str, str]:
    """The released name of every tensor that a `wrn28_10` can have; a block without a change of width has no shortcut."""
    names = {"stages.0.0.weight": "conv1.weight", **dict(_normalization("stages.3.0", "bn1"))}
    for stage in range(3):
        for block in range(BLOCKS):
            # Our first stage begins with the stem.
            name, released = f"stages.{stage}.{block + (stage == 0)}", f"block{stage + 1}.layer.{block}"
            names.update(_normalization(f"{name}.activation.0", f"{released}.bn1"))
            names[f"{name}.branch.0.weight"] = f"{released}.conv1.weight"
            names.update(_normalization(f"{name}.branch.1", f"{released}.bn2"))
            names[f"{name}.branch.4.weight"] = f"{released}.conv2.weight"
            if block == 0:
                names[f"{name}.shortcut.weight"] = f"{released}.convShortcut.weight"
    return names


def _normalization(name: str, released: str) -> Iterator[tuple[str, str]]:
    return ((f"{name}.{part}", f"{released}.{part}") for part in STATISTICS)


def _bare_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    bare: dict[str, Tensor] = {}
    for key, value in state.items():
        parts = [part for part in key.split(".") if part not in WRAPPERS]
        while len(parts) > 1 and parts[0] in PREFIXES:
            parts.pop(0)
        name = ".".join(parts)
        if name in bare:
            raise InputError(f"has {name} twice, once as {key}")
        bare[name] = value
    return bare


def _take_head(tensors: dict[str, Tensor]) -> tuple[Literal["cosine", "linear"], dict[str, Tensor] | None]:
    """The kind of the classifier and its tensors, which leave `tensors`; None without a classifier."""
    prefixes = [prefix for prefix in CLASSIFIERS if any(name.startswith(f"{prefix}.") for name in tensors)]
    if len(prefixes) > 1:
        raise InputError(f"has two heads, {prefixes[0]} and {prefixes[1]}")
    if not prefixes:
        return "cosine", None
    kind: Literal["cosine", "linear"] = "cosine" if any(name.startswith(f"{prefixes[0]}.L.") for name in tensors) else "linear"
    head = {}
    for part in HEADS[kind]:
        value = tensors.pop(f"{prefixes[0]}.{part}", None)
        axes = 1 if part == "bias" else 2
        if value is None or value.ndim != axes:
            raise InputError(f"lacks {prefixes[0]}.{part} as a {'vector' if axes == 1 else 'matrix'}, though it has a head")
        head[part.removeprefix("L.")] = value
    return kind, head


def _class_head(kind: str, head: Mapping[str, Tensor], feature_dim: int) -> dict[str, Tensor]:
    """The state of our head, checked."""
    weight = torch.empty(len(head["weight_v" if kind == "cosine" else "weight"]), feature_dim, device="meta")
    expected = {"weight": weight, "bias": weight[:, 0], "weight_v": weight, "weight_g": weight[:, :1]}
    checked = {name: _checked(f"{name} of the head", value, expected[name]) for name, value in head.items()}
    return {"direction": checked["weight_v"], "norm": checked["weight_g"][:, 0].clone()} if kind == "cosine" else checked


def _rotation_head(rotate: Mapping[str, Tensor], feature_dim: int) -> dict[str, Tensor]:
    tensors = {name.removeprefix("0."): value for name, value in _bare_names(rotate).items()}
    for name in tensors.keys() - {"weight", "bias"}:
        raise InputError(f"has {name} in its rotation head, which is one linear layer")
    weight = torch.empty(ROTATIONS, feature_dim, device="meta")
    return {
        "weight": _checked("weight of the rotation head", tensors.get("weight"), weight),
        "bias": _checked("bias of the rotation head", tensors.get("bias"), weight[:, 0]),
    }


def _checked(name: str, value: Tensor | None, expected: Tensor) -> Tensor:
    if value is None:
        raise InputError(f"lacks {name}")
    if value.shape != expected.shape:
        raise InputError(f"has {name} of shape {tuple(value.shape)}, not {tuple(expected.shape)}")
    if value.is_floating_point() != expected.is_floating_point() or value.is_complex():
        raise InputError(f"has {name} of type {str(value.dtype).removeprefix('torch.')}")
    converted = value.detach().to(device="cpu", dtype=expected.dtype, copy=True).contiguous()
    if not bool(converted.isfinite().all()):
        raise InputError(f"has values in {name} that are not finite")
    return converted
