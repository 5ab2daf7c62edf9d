"""The exemplar loss anchor by anchor: S2M2, section 3.1, with the signs that its text gives."""

import torch
from torch import Tensor


def exemplar_loss(features: Tensor) -> Tensor:
    copies, images, _ = features.shape
    total = torch.zeros((), dtype=features.dtype)
    for copy in range(copies):
        for image in range(images):
            own, others = [], []
            for other_copy in range(copies):
                for other_image in range(images):
                    if (other_copy, other_image) == (copy, image):
                        continue
                    difference = features[copy, image] - features[other_copy, other_image]
                    (own if other_image == image else others).append(torch.sqrt((difference**2).sum()))
            total = total + torch.log(1 + torch.exp(max(own) - min(others)))
    return total / (copies * images)
