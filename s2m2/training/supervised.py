"""Classes alone: the classification loss that the self-supervised objectives build on."""

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from s2m2.models.backbone import Backbone
from s2m2.recipe import PretrainConfig
from s2m2.seeding import StepStream
from s2m2.training.objective import LossTerms, accuracy


class Supervised(nn.Module):
    """L_class: cross entropy of the base classes."""

    views = 1
    batches = 1

    def __init__(self, class_head: nn.Module, config: PretrainConfig) -> None:
        super().__init__()
        self.class_head = class_head
        self.config = config

    def forward(
        self, backbone: Backbone, views: Float[Tensor, "view batch 3 size size"], labels: Int64[Tensor, " batch"], stream: StepStream
    ) -> LossTerms:
        """L_class of the first view."""
        logits = self.class_head(backbone(views[0]))
        loss = F.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
        return LossTerms(loss, {"class": loss.detach(), "accuracy": accuracy(logits, labels)})
