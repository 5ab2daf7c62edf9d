"""Stage 2 of S2M2: mixed images, with the losses of stage 1 beside them (Algorithm 1)."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from s2m2.models.backbone import Backbone
from s2m2.recipe import FinetuneConfig
from s2m2.seeding import StepStream
from s2m2.training.exemplar import Exemplar
from s2m2.training.mixing import batches_mixed, mixed_loss
from s2m2.training.objective import LossTerms
from s2m2.training.rotation import Rotation
from s2m2.training.supervised import Supervised

Beside = Supervised | Rotation | Exemplar


class MixedFinetuning(torch.nn.Module):
    """L = L_mm + 0.5 (L_class + L_ss), the latter by the objective of stage 1 and with its heads."""

    def __init__(self, beside: Beside, config: FinetuneConfig) -> None:
        super().__init__()
        self.beside = beside
        self.config = config
        self.views = beside.views
        self.batches = batches_mixed(config.mix)

    def forward(
        self, backbone: Backbone, views: Float[Tensor, "view row 3 size size"], labels: Int64[Tensor, " row"], stream: StepStream
    ) -> LossTerms:
        """L_mm over the whole batch, L_class and L_ss over a part of it."""
        mixed = mixed_loss(backbone, self.beside.class_head, views[0], labels, self.config.mix, stream)
        part = slice(0, stream.local_size, self.config.auxiliary_stride)
        part_views, part_labels = views[:, part], labels[part]
        part_stream = replace(stream, batch_size=len(part_labels) * stream.world_size)
        beside = self.beside(backbone, part_views, part_labels, part_stream)
        return LossTerms(mixed + self.config.auxiliary_weight * beside.total, {"mixup": mixed.detach(), **beside.parts})
