"""Exemplar self-supervision: copies of one image lie nearer than any other image (S2M2, section 3.2)."""

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from s2m2.functional.exemplar import exemplar_loss
from s2m2.models.backbone import Backbone
from s2m2.recipe import PretrainConfig
from s2m2.seeding import StepStream
from s2m2.training.objective import Gather, LossTerms, accuracy


class Exemplar(nn.Module):
    """L_class + L_exemplar over four random variations of each image, the hardest copy against the hardest stranger."""

    views = 4
    batches = 1

    def __init__(self, class_head: nn.Module, config: PretrainConfig, gather: Gather | None = None) -> None:
        super().__init__()
        self.class_head = class_head
        self.config = config
        self.gather = gather

    def forward(
        self, backbone: Backbone, views: Float[Tensor, "view batch 3 size size"], labels: Int64[Tensor, " batch"], stream: StepStream
    ) -> LossTerms:
        """Weighted sum of both losses; strangers are sought among the images of all processes."""
        copies, batch = views.shape[:2]
        features = backbone(views.flatten(0, 1))
        logits, targets = self.class_head(features), labels.repeat(copies)
        class_loss = F.cross_entropy(logits, targets, label_smoothing=self.config.label_smoothing)
        by_copy = features.unflatten(0, (copies, batch))
        copy_loss = exemplar_loss(self.gather(by_copy) if self.gather is not None else by_copy)
        total = self.config.classification_weight * class_loss + self.config.self_supervision_weight * copy_loss
        return LossTerms(total, {"class": class_loss.detach(), "exemplar": copy_loss.detach(), "accuracy": accuracy(logits, targets)})
