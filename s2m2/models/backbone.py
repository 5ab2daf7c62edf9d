"""`Backbone`: a list of stages that ends in a feature vector, with a mixture before any of them."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from s2m2.mixup import Mix
from s2m2.models.layers import evaluation_mode


class Backbone(nn.Module):
    """Images to features.

    The stages run in order; the first takes normalized images "batch channel height width", the last returns features
    "batch dim". Its `state_dict` has nothing but these stages: heads belong to the training objectives.
    """

    def __init__(self, stages: Sequence[nn.Module], feature_dim: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.feature_dim = feature_dim

    def forward(self, images: Float[Tensor, "item 3 size size"], mix: Mix | None = None) -> Float[Tensor, "batch dim"]:
        """Features of the images; with a mix, of the images mixed before stage `mix.stage`.

        `mix.stage` goes from 0, the images, to the number of stages, the features themselves. There are as many items as images in
        the batch, or twice as many with partners from a second batch.
        """
        values = images
        for number, stage in enumerate(self.stages):
            if mix is not None and mix.stage == number:
                values = mix.blend(values)
            values = stage(values)
        return mix.blend(values) if mix is not None and mix.stage == len(self.stages) else values


@torch.no_grad()
def features_of_blank(network: nn.Module, image_size: int) -> Tensor:
    """The output of a network, in evaluation mode, for one blank image of a size in pixels; its shape tells the feature size."""
    with evaluation_mode(network):
        return network(torch.zeros(1, 3, image_size, image_size))
