"""`Backbone`: a list of stages that ends in a feature vector, with a mixture before any of them."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from s2m2.functional.mixup import Mix


class Backbone(nn.Module):
    """Images to features.

    The stages are applied in order; the first takes normalized images "batch channel height width", the last returns features
    "batch dim". Nothing but these stages is in its `state_dict`: heads belong to the objectives that train them.
    """

    def __init__(self, stages: Sequence[nn.Module], feature_dim: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.feature_dim = feature_dim

    def forward(self, images: Float[Tensor, "row 3 size size"], mix: Mix | None = None) -> Float[Tensor, "batch dim"]:
        """Features of the images; with a mix, of the images mixed before stage `mix.stage`.

        `mix.stage` runs from 0, the images, to the number of stages, the features themselves. There are as many rows as images in
        the batch, or twice as many where the mix takes its partners from a second batch.
        """
        values = images
        for number, stage in enumerate(self.stages):
            if mix is not None and mix.stage == number:
                values = mix.blend(values)
            values = stage(values)
        return mix.blend(values) if mix is not None and mix.stage == len(self.stages) else values
