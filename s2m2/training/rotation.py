"""Rotation self-supervision: tell by how many rotations an image was rotated, and its class all the same (S2M2, section 3.2)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from s2m2.functional.rotation import ROTATIONS, all_rotations, rot90, rotation_loss
from s2m2.models.backbone import Backbone
from s2m2.recipe import PretrainConfig
from s2m2.seeding import StepStream
from s2m2.training.objective import LossTerms, accuracy


class Rotation(nn.Module):
    """L_class + L_rot over rotated images.

    With one random turn an image instead of all four, both losses keep their expectation at a quarter of the cost.
    """

    views = 1
    batches = 1

    def __init__(self, class_head: nn.Module, rotation_head: nn.Module, config: PretrainConfig) -> None:
        super().__init__()
        self.class_head = class_head
        self.rotation_head = rotation_head
        self.config = config

    def forward(
        self, backbone: Backbone, views: Float[Tensor, "view batch 3 size size"], labels: Int64[Tensor, " batch"], stream: StepStream
    ) -> LossTerms:
        """Weighted sum of the class and the turn losses of the first view."""
        images = views[0]
        if self.config.rotations == "all":
            images, rotations = all_rotations(images)
            labels = labels.repeat(ROTATIONS)
        else:
            generator = stream.generator("turns", device=images.device)
            rotations = stream.local(torch.randint(ROTATIONS, (stream.batch_size,), generator=generator, device=images.device))
            images = rot90(images, rotations)
        features = backbone(images)
        class_logits, turn_logits = self.class_head(features), self.rotation_head(features)
        class_loss = F.cross_entropy(class_logits, labels, label_smoothing=self.config.label_smoothing)
        turn_loss = rotation_loss(turn_logits, rotations)
        total = self.config.classification_weight * class_loss + self.config.self_supervision_weight * turn_loss
        return LossTerms(
            total,
            {
                "class": class_loss.detach(),
                "rotation": turn_loss.detach(),
                "accuracy": accuracy(class_logits, labels),
                "rotation_accuracy": accuracy(turn_logits, rotations),
            },
        )
