"""Mixed images alone: mixup, manifold mixup and their kin, trained from random weights."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from s2m2.models.backbone import Backbone
from s2m2.recipe.mixing import MixConfig
from s2m2.seeding import StepStream
from s2m2.training.mixing import batches_mixed, mixed_loss
from s2m2.training.objective import LossTerms


class Mixup(torch.nn.Module):
    """L_mm: classes of mixed images."""

    views = 1

    def __init__(self, class_head: nn.Module, config: MixConfig) -> None:
        super().__init__()
        self.class_head = class_head
        self.config = config
        self.batches = batches_mixed(config)

    def forward(
        self, backbone: Backbone, views: Float[Tensor, "view row 3 size size"], labels: Int64[Tensor, " row"], stream: StepStream
    ) -> LossTerms:
        """L_mm of the first view."""
        loss = mixed_loss(backbone, self.class_head, views[0], labels, self.config, stream)
        return LossTerms(loss, {"mixup": loss.detach()})
