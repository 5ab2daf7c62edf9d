"""The nearest class mean by cosine (the cosine nearest-centroid rule that SimpleShot compares with, Wang et al., 2019, section 3)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from s2m2.evaluation.tasks import FewShotTasks


def cosine_centroid(tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
    """Score by the cosine of the angle between a query and each class mean, the mean being that of the features as they come."""
    means = F.normalize(tasks.class_means(), dim=-1)
    lengths = torch.linalg.vector_norm(tasks.query, dim=-1, keepdim=True)
    return (tasks.query @ means.mT).div_(lengths.clamp(min=torch.finfo(lengths.dtype).tiny))
