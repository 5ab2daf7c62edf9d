"""Stage 2 of S2M2: manifold mixup, with the losses of stage 1 beside it (Algorithm 1)."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from s2m2.functional.mixup import Mix, draw_partners
from s2m2.models.backbone import Backbone
from s2m2.recipe import FinetuneConfig
from s2m2.seeding import StepStream
from s2m2.training.exemplar import Exemplar
from s2m2.training.objective import LossTerms
from s2m2.training.rotation import Rotation
from s2m2.training.supervised import Supervised

Inner = Supervised | Rotation | Exemplar


class ManifoldMixup(torch.nn.Module):
    """L = L_mm + 0.5 (L_class + L_ss), the latter by the objective of stage 1 and with its heads.

    One stage and one weight lambda ~ Beta(alpha, alpha) are drawn a step, the same on all processes.
    """

    def __init__(self, inner: Inner, config: FinetuneConfig) -> None:
        super().__init__()
        self.inner = inner
        self.config = config
        self.views = inner.views

    def forward(
        self, backbone: Backbone, views: Float[Tensor, "view batch 3 side side"], labels: Int64[Tensor, " batch"], stream: StepStream
    ) -> LossTerms:
        """L_mm over the whole batch, L_class and L_ss over a part of it."""
        mix = self.draw_mix(backbone, stream, views.device)
        mixed = mix.loss(self.inner.class_head(backbone(views[0], mix)), labels)
        stride = self.config.auxiliary_stride
        part_views, part_labels = views[:, ::stride], labels[::stride]
        part_stream = replace(stream, batch_size=len(part_labels) * stream.world_size)
        beside = self.inner(backbone, part_views, part_labels, part_stream)
        return LossTerms(mixed + self.config.auxiliary_weight * beside.total, {"mixup": mixed.detach(), **beside.parts})

    def draw_mix(self, backbone: Backbone, stream: StepStream, device: torch.device) -> Mix:
        """The stage, weight and partners of one step."""
        numbers = stream.numpy_generator("mix")
        stages = self.config.mix_stages if self.config.mix_stages is not None else range(len(backbone.stages))
        stage = int(numbers.choice(stages))
        weight = torch.full((), float(numbers.beta(self.config.alpha, self.config.alpha)), device=device)
        partners = draw_partners(stream.batch_size, stream.generator("partners", device=device), stream.world_size)
        return Mix(stage=stage, weight=weight, partner=stream.local(partners) - stream.rank * stream.local_size)
