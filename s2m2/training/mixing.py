"""What a step mixes: the draws of stage, weights and partners, and the loss of a mixed batch."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torchvision.transforms.v2 import CutMix

from s2m2.functional.mixup import Mix, draw_partners, draw_partners_of_class, soft_binary_cross_entropy, soft_cross_entropy
from s2m2.models.backbone import Backbone
from s2m2.recipe.mixing import MixConfig
from s2m2.seeding import StepStream

LOSSES = {"cross_entropy": soft_cross_entropy, "binary_cross_entropy": soft_binary_cross_entropy}


def batches_mixed(config: MixConfig) -> int:
    """Batches that a step needs: 2 where partners come from one of their own, and are mixed with at all."""
    return 2 if config.partners == "second_batch" and config.alpha > 0 else 1


def mixed_loss(
    backbone: Backbone,
    class_head: nn.Module,
    images: Float[Tensor, "row 3 size size"],
    labels: Int64[Tensor, " row"],
    config: MixConfig,
    stream: StepStream,
) -> Float[Tensor, ""]:
    """L_mm: the loss of a mixed batch against its mixed labels.

    Args:
        images: the images of this process; behind them, where partners come from a second batch, as many of that one.
        labels: their classes.
    """
    if config.method == "cutmix":
        # torchvision's own; it draws from torch's global generator, which the loop seeds for each step and process.
        images, targets = CutMix(num_classes=class_head.classes, alpha=config.alpha)(images, labels)
        logits = class_head(backbone(images))
    else:
        mix = draw_mix(config, len(backbone.stages), labels, stream)
        logits = class_head(backbone(images, mix))
        targets = mix.targets(labels, logits.shape[1])
    return LOSSES[config.loss](logits.float(), targets)


def draw_mix(config: MixConfig, stages: int, labels: Int64[Tensor, " row"], stream: StepStream) -> Mix:
    """The stage, weights and partners of one step.

    Stage and weights are the same on all processes. So are the pairs, but for partners of the same class, which are sought among
    the images of a process.

    Args:
        stages: number of stages of the backbone.
        labels: classes of the images of this process, those of a second batch behind them.
    """
    numbers = stream.numpy_generator("mix")
    places = [place % (stages + 1) for place in config.stages] if config.stages is not None else range(stages)
    stage = int(numbers.choice(places))
    return Mix(stage=stage, weights=_draw_weights(config, stream, labels.device), partners=_draw_partners(config, labels, stream))


def _draw_weights(config: MixConfig, stream: StepStream, device: torch.device) -> Tensor:
    """Shares of the partners: (1 - lambda) for one of them, lambda from Beta(alpha, alpha); of Dirichlet(alpha, ...) for more."""
    numbers = stream.numpy_generator("weights")
    partners = config.num_images - 1
    draws = stream.batch_size if config.per_sample else 1
    if config.alpha == 0:
        weights = torch.zeros(draws, partners)
    else:
        weights = torch.from_numpy(numbers.dirichlet([config.alpha] * config.num_images, size=draws)[:, 1:]).float()
    if config.prob < 1:
        mixed = torch.from_numpy(numbers.random(stream.batch_size) < config.prob)
        weights = weights * mixed[:, None]
    local = stream.local(weights).T if len(weights) > 1 else weights[0]
    return local.to(device, non_blocking=True)


def _draw_partners(config: MixConfig, labels: Int64[Tensor, " row"], stream: StepStream) -> Int64[Tensor, "partner batch"]:
    size, device = stream.local_size, labels.device
    if batches_mixed(config) == 2:
        return torch.arange(size, 2 * size, device=device)[None]
    generator = stream.generator("partners", device=device)
    if config.partners == "class":
        keys = torch.rand(stream.batch_size, config.num_images - 1, generator=generator, device=device)
        return draw_partners_of_class(labels, stream.local(keys).T)
    partners = draw_partners(stream.batch_size, generator, stream.world_size, config.num_images - 1)
    return stream.local(partners.T).T - stream.rank * size
