"""The cosine classifier logit by logit: s * g_c * cos(x, v_c), with x / (||x|| + 1e-5)."""

import torch
from torch import Tensor


def cosine_logits(features: Tensor, direction: Tensor, norm: Tensor, scale: float) -> Tensor:
    rows = []
    for feature in features:
        logits = []
        for number in range(len(direction)):
            feature_length = torch.sqrt(sum(value**2 for value in feature))
            direction_length = torch.sqrt(sum(value**2 for value in direction[number]))
            product = sum(a * b for a, b in zip(feature, direction[number], strict=True))
            logits.append(scale * norm[number] * product / ((feature_length + 1e-5) * direction_length))
        rows.append(torch.stack(logits))
    return torch.stack(rows)
