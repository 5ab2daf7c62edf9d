"""Rotation self-supervision: tell by how many quarter turns a picture was rotated, and its class all the same (S2M2, section 3.2)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from s2m2.functional.rotation import TURNS, all_quarter_turns, quarter_turns, rotation_loss
from s2m2.models.backbone import Backbone
from s2m2.recipe import PretrainConfig
from s2m2.seeding import StepStream
from s2m2.training.objective import LossTerms, accuracy


class Rotation(nn.Module):
    """L_class + L_rot over rotated pictures.

    With one random turn a picture instead of all four, both losses keep their expectation at a quarter of the cost.
    """

    views = 1
    batches = 1

    def __init__(self, class_head: nn.Module, turn_head: nn.Module, config: PretrainConfig) -> None:
        super().__init__()
        self.class_head = class_head
        self.turn_head = turn_head
        self.config = config

    def forward(
        self, backbone: Backbone, views: Float[Tensor, "view batch 3 side side"], labels: Int64[Tensor, " batch"], stream: StepStream
    ) -> LossTerms:
        """Weighted sum of the class and the turn losses of the first view."""
        images = views[0]
        if self.config.rotations == "all":
            images, turns = all_quarter_turns(images)
            labels = labels.repeat(TURNS)
        else:
            generator = stream.generator("turns", device=images.device)
            turns = stream.local(torch.randint(TURNS, (stream.batch_size,), generator=generator, device=images.device))
            images = quarter_turns(images, turns)
        features = backbone(images)
        class_logits, turn_logits = self.class_head(features), self.turn_head(features)
        class_loss = F.cross_entropy(class_logits, labels, label_smoothing=self.config.label_smoothing)
        turn_loss = rotation_loss(turn_logits, turns)
        total = self.config.classification_weight * class_loss + self.config.self_supervision_weight * turn_loss
        return LossTerms(
            total,
            {
                "class": class_loss.detach(),
                "rotation": turn_loss.detach(),
                "accuracy": accuracy(class_logits, labels),
                "rotation_accuracy": accuracy(turn_logits, turns),
            },
        )
