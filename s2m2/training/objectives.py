"""The objectives of both stages: views of a batch to a loss, with heads on a backbone (S2M2, section 3.2 and Algorithm 1)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torchvision.transforms.v2 import CutMix

from s2m2.errors import InputError
from s2m2.mixup import Mix, batches_mixed, sample_mix, soft_binary_cross_entropy, soft_cross_entropy
from s2m2.models.backbone import Backbone
from s2m2.models.layers import CosineHead, LinearHead
from s2m2.random import StepStream
from s2m2.recipe import FinetuneConfig, ModelConfig, PretrainConfig, Recipe
from s2m2.recipe.training import MixConfig
from s2m2.selfsupervision import ROTATIONS, exemplar_loss, rotate90, rotate90_batch, rotation_loss

COPIES = 4
"""Augmented copies of each image in the exemplar task (S2M2)."""
MIXED_LOSSES = {"cross_entropy": soft_cross_entropy, "binary_cross_entropy": soft_binary_cross_entropy}

Gather = Callable[[Tensor], Tensor]
"""Joins the features "copy image dim" of all processes along the image axis, with gradient."""


class LossTerms(NamedTuple):
    """The loss of one step."""

    total: Float[Tensor, ""]
    """What is minimized."""
    parts: dict[str, Float[Tensor, ""]]
    """Metrics to log by name, without gradient."""


Loss = Callable[[Backbone, nn.ModuleDict, Tensor, Tensor, StepStream], LossTerms]
"""Backbone, heads, views "view item 3 size size", labels " item" and the randomness of a step to the loss of this process's images."""


class Objective(nn.Module):
    """A loss with the heads that it trains; the backbone has none."""

    def __init__(self, heads: nn.ModuleDict, loss: Loss, *, views: int = 1, batches: int = 1) -> None:
        """Keeps what it is given.

        Args:
            heads: "classifier", over base classes, and "rotation", for the rotation task.
            loss: one of the losses below.
            views: augmented views of each image.
            batches: batches of a step; the second is sampled by itself and follows the first.
        """
        super().__init__()
        self.heads = heads
        self.loss, self.views, self.batches = loss, views, batches

    def forward(
        self, backbone: Backbone, views: Float[Tensor, "view item 3 size size"], labels: Int64[Tensor, " item"], stream: StepStream
    ) -> LossTerms:
        """The loss of this process's part of a batch."""
        return self.loss(backbone, self.heads, views, labels, stream)


def pretrain_objective(recipe: Recipe, feature_dim: int, classes: int, gather: Gather | None = None) -> Objective:
    """The objective of stage 1.

    Args:
        gather: joins features over several processes.
    """
    config = recipe.pretrain
    heads = nn.ModuleDict({"classifier": base_classifier(recipe.model, feature_dim, classes)})
    match config.objective:
        case "supervised":
            return Objective(heads, partial(supervised_loss, config=config))
        case "rotation":
            heads["rotation"] = LinearHead(feature_dim, ROTATIONS)
            return Objective(heads, partial(rotation_task_loss, config=config))
        case "exemplar":
            return Objective(heads, partial(exemplar_task_loss, config=config, gather=gather), views=COPIES)
        case "mixup":
            batches = batches_mixed(config.mix.partners, config.mix.alpha)
            return Objective(heads, partial(mixup_loss, config=config.mix), batches=batches)


def finetune_objective(recipe: Recipe, objective: Objective) -> Objective:
    """The objective of stage 2: mixed images, and the objective of stage 1 with its heads as auxiliary losses, weighted by stage 2.

    After mixup alone, the auxiliary loss is the classification loss.
    """
    auxiliary = partial(supervised_loss, config=recipe.pretrain) if recipe.pretrain.objective == "mixup" else objective.loss
    first = auxiliary.keywords.get("config") if isinstance(auxiliary, partial) else None
    if isinstance(auxiliary, partial) and isinstance(first, PretrainConfig):
        weights = recipe.finetune.classification_weight, recipe.finetune.self_supervision_weight
        second = replace(first, classification_weight=weights[0], self_supervision_weight=weights[1])
        auxiliary = partial(auxiliary.func, *auxiliary.args, **(auxiliary.keywords | {"config": second}))
    mix = recipe.finetune.mix
    loss = partial(finetune_loss, config=recipe.finetune, auxiliary=auxiliary)
    return Objective(objective.heads, loss, views=objective.views, batches=batches_mixed(mix.partners, mix.alpha))


def base_classifier(config: ModelConfig, feature_dim: int, classes: int) -> nn.Module:
    """The classifier over base classes."""
    return CosineHead(feature_dim, classes, config.scale) if config.head == "cosine" else LinearHead(feature_dim, classes)


def supervised_loss(
    backbone: Backbone, heads: nn.ModuleDict, views: Tensor, labels: Tensor, stream: StepStream, *, config: PretrainConfig
) -> LossTerms:
    """L_class of the first view: cross entropy of the base classes."""
    logits = heads["classifier"](backbone(views[0]))
    loss = F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
    return LossTerms(loss, {"class": loss.detach(), "accuracy": accuracy(logits, labels)})


def rotation_task_loss(
    backbone: Backbone, heads: nn.ModuleDict, views: Tensor, labels: Tensor, stream: StepStream, *, config: PretrainConfig
) -> LossTerms:
    """L_class + L_rot over rotated images of the first view: their class, and their rotation (S2M2, section 3.2).

    With one random rotation of each image, both losses keep their expectation over all four at a quarter of the cost.
    """
    images = views[0]
    if config.rotations == "all":
        images, rotations = rotate90_batch(images)
        labels = labels.repeat(ROTATIONS)
    else:
        generator = stream.generator("turns", device=images.device)
        rotations = stream.local(torch.randint(ROTATIONS, (stream.batch_size,), generator=generator, device=images.device))
        images = rotate90(images, rotations)
    features = backbone(images)
    class_logits, rotation_logits = heads["classifier"](features), heads["rotation"](features)
    class_loss = F.cross_entropy(class_logits, labels, label_smoothing=config.label_smoothing)
    task_loss = rotation_loss(rotation_logits, rotations)
    parts = {
        "class": class_loss.detach(),
        "rotation": task_loss.detach(),
        "accuracy": accuracy(class_logits, labels),
        "rotation_accuracy": accuracy(rotation_logits, rotations),
    }
    return LossTerms(config.classification_weight * class_loss + config.self_supervision_weight * task_loss, parts)


def exemplar_task_loss(
    backbone: Backbone,
    heads: nn.ModuleDict,
    views: Tensor,
    labels: Tensor,
    stream: StepStream,
    *,
    config: PretrainConfig,
    gather: Gather | None = None,
) -> LossTerms:
    """L_class + L_e over the copies of each image (S2M2, section 3.2); other images are those of all processes."""
    copies, batch = views.shape[:2]
    features = backbone(views.flatten(0, 1))
    logits, targets = heads["classifier"](features), labels.repeat(copies)
    class_loss = F.cross_entropy(logits, targets, label_smoothing=config.label_smoothing)
    by_copy = features.unflatten(0, (copies, batch))
    task_loss = exemplar_loss(gather(by_copy) if gather is not None else by_copy)
    parts = {"class": class_loss.detach(), "exemplar": task_loss.detach(), "accuracy": accuracy(logits, targets)}
    return LossTerms(config.classification_weight * class_loss + config.self_supervision_weight * task_loss, parts)


def mixup_loss(
    backbone: Backbone, heads: nn.ModuleDict, views: Tensor, labels: Tensor, stream: StepStream, *, config: MixConfig
) -> LossTerms:
    """L_mm of the first view, from random weights: mixup, manifold mixup and their kin."""
    loss = mixed_loss(backbone, heads["classifier"], views[0], labels, config, stream)
    return LossTerms(loss, {"mixup": loss.detach()})


def finetune_loss(
    backbone: Backbone,
    heads: nn.ModuleDict,
    views: Tensor,
    labels: Tensor,
    stream: StepStream,
    *,
    config: FinetuneConfig,
    auxiliary: Loss,
) -> LossTerms:
    """L = L_mm + 0.5 (L_class + L_ss): L_mm over the whole batch, the loss of stage 1 over a part of it (S2M2, Algorithm 1)."""
    mixed = mixed_loss(backbone, heads["classifier"], views[0], labels, config.mix, stream)
    part = slice(0, stream.local_size, config.auxiliary_stride)
    part_views, part_labels = views[:, part], labels[part]
    part_stream = replace(stream, batch_size=len(part_labels) * stream.world_size)
    terms = auxiliary(backbone, heads, part_views, part_labels, part_stream)
    return LossTerms(mixed + config.auxiliary_weight * terms.total, {"mixup": mixed.detach(), **terms.parts})


def mixed_loss(
    backbone: Backbone,
    classifier: nn.Module,
    images: Float[Tensor, "item 3 size size"],
    labels: Int64[Tensor, " item"],
    config: MixConfig,
    stream: StepStream,
) -> Float[Tensor, ""]:
    """L_mm: the loss of a mixed batch against its mixed labels.

    Args:
        classifier: features to logits; for CutMix an `nn.Linear`, or any module with an attribute `classes`.
        images: the images of this process, followed by those of a second batch if partners come from there.
        labels: their classes.
    """
    if config.method == "cutmix":
        # torchvision's own; it samples from torch's global generator, which the loop seeds for each step and process.
        images, targets = CutMix(num_classes=_class_count(classifier), alpha=config.alpha)(images, labels)
        logits = classifier(backbone(images))
    else:
        mix = sample_step_mix(config, len(backbone.stages), labels, stream)
        logits = classifier(backbone(images, mix))
        targets = mix.targets(labels, logits.shape[1])
    return MIXED_LOSSES[config.loss](logits.float(), targets)


def sample_step_mix(config: MixConfig, stages: int, labels: Int64[Tensor, " item"], stream: StepStream) -> Mix:
    """The mix of one step by its settings, for a backbone of so many stages."""
    return sample_mix(
        [stage % (stages + 1) for stage in config.stages] if config.stages is not None else range(stages),
        labels,
        stream,
        alpha=config.alpha,
        per_sample=config.per_sample,
        prob=config.prob,
        num_images=config.num_images,
        partners=config.partners,
    )


def check_mix_stages(at: str, config: MixConfig, backbone: Backbone) -> None:
    """Raise `InputError` for a stage that the backbone does not have; `at` is the path of the settings."""
    beyond = [stage for stage in config.stages or () if stage > len(backbone.stages)]
    if beyond:
        raise InputError(f"--{at}.stages has {beyond[0]}, but the backbone has stages 0 to {len(backbone.stages)}")


def accuracy(logits: Float[Tensor, "batch class"], labels: Int64[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Fraction of images whose highest logit is their class."""
    return (logits.detach().argmax(dim=1) == labels).to(torch.float32).mean()


def _class_count(classifier: nn.Module) -> int:
    for name in ("classes", "out_features"):
        if isinstance(count := getattr(classifier, name, None), int):
            return count
    raise InputError(f"classifier is a {type(classifier).__name__} without an attribute classes, which CutMix needs")
